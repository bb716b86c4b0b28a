//! Handlers that compute for ever.

use super::{bed::on, on_every_engine};

const LITTLE: &str = "fuel = 20_000_000, deadline = \"3s\", memory = \"32MiB\"";
const UNLIMITED: &str = "fuel = 9_000_000_000_000_000_000, deadline = \"1s\", memory = \"32MiB\"";

on_every_engine! {
    async fn spinning_ends_with_the_fuel(engine) {
        let mut bed = on(engine).limits(LITTLE).start("spins").await;
        assert_eq!(bed.call("").await.problem(), (500, "fuel-exhausted".into()));
        bed.recovers().await;
        bed.ends_well().await;
    }

    async fn spinning_without_a_limit_of_fuel_ends_at_the_deadline(engine) {
        let mut bed = on(engine).limits(UNLIMITED).start("spins").await;
        assert_eq!(bed.call("").await.problem(), (504, "deadline-exceeded".into()));
        assert_eq!(bed.call("/copies").await.problem(), (504, "deadline-exceeded".into()));
        bed.recovers().await;
        bed.ends_well().await;
    }
}

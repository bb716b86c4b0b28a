//! A handler that calls itself without end.

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn an_overflowing_stack_is_contained(engine) {
        let mut bed = on(engine).start("overflows_stack").await;
        for _ in 0..3 {
            assert_eq!(bed.call("").await.problem(), (500, "handler-trapped".into()));
        }
        bed.recovers().await;
        bed.ends_well().await;
    }
}

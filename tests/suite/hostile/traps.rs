//! Handlers that trap while the database has work of theirs.

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn trap_in_transaction_leaves_no_session_behind(engine) {
        let mut bed = on(engine).start("traps").await;
        for variant in ["", "/savepoint", "/cursor", "/aborted", "/connection"] {
            assert_eq!(bed.call(variant).await.problem(), (500, "handler-trapped".into()), "{variant}");
            bed.recovers().await;
        }
        bed.ends_well().await;
    }

    async fn a_thousand_traps_in_a_row_leave_the_pool_whole(engine) {
        let mut bed = on(engine).start("traps").await;
        let client = bed.client();
        for _ in 0..1000 {
            assert_eq!(client.get("/traps").await.problem(), (500, "handler-trapped".into()));
        }
        bed.recovers().await;
        bed.ends_well().await;
    }
}

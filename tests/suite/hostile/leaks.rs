//! Handlers that return with everything still open.

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn what_a_handler_still_holds_is_taken_back(engine) {
        let mut bed = on(engine).start("leaks").await;
        for variant in ["/transaction", "/cursor", "/connections?count=2", "/all"] {
            for _ in 0..5 {
                let reply = bed.call(variant).await;
                assert_eq!((reply.status.as_u16(), reply.text()), (200, "leaked"), "{variant}");
            }
            bed.recovers().await;
        }
        bed.ends_well().await;
    }
}

//! Handlers that return without an answer.

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn no_answer_is_answered_for(engine) {
        let mut bed = on(engine).start("silent").await;
        for variant in ["", "/keeps"] {
            assert_eq!(bed.call(variant).await.problem(), (500, "handler-no-response".into()), "{variant}");
        }
        bed.recovers().await;
        bed.ends_well().await;
    }
}

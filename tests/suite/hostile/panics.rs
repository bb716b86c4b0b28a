//! Handlers that panic or exit.

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn a_panic_is_answered_for_and_its_words_stay_in_the_log(engine) {
        let mut bed = on(engine).start("panics").await;
        let reply = bed.call("").await;
        assert_eq!(reply.problem(), (500, "handler-trapped".into()));
        assert!(!reply.text().contains("secret"), "{reply:?}");
        bed.host.logged("the secret of the handler", std::time::Duration::from_secs(5)).await;
        for (variant, code) in [("/connection", "handler-trapped"), ("/exit", "handler-no-response"), ("/exit-with-failure", "handler-trapped")] {
            assert_eq!(bed.call(variant).await.problem(), (500, code.into()), "{variant}");
            bed.recovers().await;
        }
        bed.ends_well().await;
    }
}

//! Handlers that answer with what is no proper answer.

use http::Request;
use support::client;

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn an_error_instead_of_an_answer_is_answered_for_without_its_words(engine) {
        let mut bed = on(engine).start("invalid_response").await;
        for variant in ["/error", "/refused"] {
            let reply = bed.call(variant).await;
            let (status, code) = reply.problem();
            assert!(status >= 500, "{variant}: {status} {code}");
            assert!(!reply.text().contains("secret"), "{variant}: {reply:?}");
        }
        bed.recovers().await;
        bed.ends_well().await;
    }

    async fn headers_and_statuses_that_are_not_a_handler_s_never_go_out(engine) {
        let mut bed = on(engine).start("invalid_response").await;
        let reply = bed.call("/headers").await;
        assert_eq!((reply.status.as_u16(), reply.headers["x-refused"].to_str().unwrap()), (200, "5"));
        assert_eq!(bed.call("/status").await.status, 422);
        assert_eq!(bed.call("/interim").await.problem(), (500, "invalid-response".into()));
        bed.recovers().await;
        bed.ends_well().await;
    }

    async fn a_body_that_breaks_its_promise_never_looks_whole(engine) {
        let mut bed = on(engine).start("invalid_response").await;
        for variant in ["/short", "/long", "/unfinished"] {
            let request = Request::get(format!("/invalid_response{variant}")).body(client::bytes("")).unwrap();
            let whole = match bed.undisturbed(bed.client().open(request)).await {
                Ok(answer) => answer.whole().await,
                Err(error) => Err(error),
            };
            // Cut off, or a problem document, if the host found out in time.
            match whole {
                Err(_) => {}
                Ok(reply) if reply.status.is_server_error() => drop(reply.problem()),
                Ok(reply) => panic!("{variant}: {reply:?} looks whole"),
            }
        }
        bed.recovers().await;
        bed.ends_well().await;
    }
}

//! Handlers whose answer never ends, and readers that do not read it.

use http::Request;
use support::client;

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn an_endless_answer_is_cut_off_at_the_deadline(engine) {
        let limits = "fuel = 9_000_000_000_000_000_000, deadline = \"1s\", memory = \"32MiB\"";
        let mut bed = on(engine).limits(limits).start("endless_body").await;
        for variant in ["", "/connection", "/transaction", "/deaf", "/stalls"] {
            let request = Request::get(format!("/endless_body{variant}")).body(client::bytes("")).unwrap();
            let answer = bed.client().open(request).await.unwrap();
            assert_eq!(answer.status, 200, "{variant}");
            // Cut off, and not ended as if it were whole.
            let cut = bed.undisturbed(read_on(answer)).await;
            assert!(cut, "{variant} ended like a whole answer");
            bed.recovers().await;
        }
        bed.ends_well().await;
    }

    async fn a_trap_in_the_middle_of_an_answer_never_looks_like_its_end(engine) {
        let mut bed = on(engine).start("endless_body").await;
        let request = Request::get("/endless_body/traps").body(client::bytes("")).unwrap();
        let answer = bed.client().open(request).await.unwrap();
        // A problem document, if the host found out before anything was sent.
        if answer.status == 500 {
            assert_eq!(answer.whole().await.unwrap().problem(), (500, "handler-trapped".into()));
        } else {
            assert!(read_on(answer).await, "it ended like a whole answer");
        }
        bed.recovers().await;
        bed.ends_well().await;
    }

    async fn a_reader_that_stalls_loses_its_call_and_the_lease_comes_back(engine) {
        let limits = "fuel = 9_000_000_000_000_000_000, deadline = \"60s\", memory = \"32MiB\"";
        let mut bed = on(engine).limits(limits).server("body_stall_timeout = \"500ms\"").start("endless_body").await;
        for variant in ["/connection", "/transaction"] {
            let request = Request::get(format!("/endless_body{variant}")).body(client::bytes("")).unwrap();
            let mut answer = bed.client().open(request).await.unwrap();
            answer.chunk().await.unwrap().unwrap();
            // Nothing more is read from here on.
            bed.recovers().await;
            assert!(read_on(answer).await, "{variant} ended like a whole answer");
        }
        bed.ends_well().await;
    }

    async fn a_reader_that_goes_away_takes_the_call_with_it(engine) {
        let limits = "fuel = 9_000_000_000_000_000_000, deadline = \"60s\", memory = \"32MiB\"";
        let mut bed = on(engine).limits(limits).start("endless_body").await;
        for variant in ["/connection", "/transaction", "/deaf", "/stalls"] {
            let request = Request::get(format!("/endless_body{variant}")).body(client::bytes("")).unwrap();
            let mut answer = bed.client().open(request).await.unwrap();
            answer.chunk().await.unwrap().unwrap();
            drop(answer);
            bed.recovers().await;
        }
        bed.ends_well().await;
    }
}

/// Reads to the end; whether it was cut off.
async fn read_on(mut answer: client::Answer) -> bool {
    loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

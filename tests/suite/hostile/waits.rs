//! Handlers that wait in a host call.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::Request;
use http_body_util::StreamBody;
use hyper::body::Frame;
use support::client;

use super::{
    bed::{Engine, on},
    on_every_engine,
};

const SHORT: &str = "fuel = 200_000_000, deadline = \"1s\", memory = \"32MiB\"";

on_every_engine! {
    async fn waiting_ends_at_the_deadline_and_so_does_the_statement(engine) {
        let mut bed = on(engine).limits(SHORT).start("waits").await;
        for variant in ["", "/connection", "/transaction", "/cursor", "/clock", "/clock-in-transaction"] {
            assert_eq!(bed.call(variant).await.problem(), (504, "deadline-exceeded".into()), "{variant}");
            bed.recovers().await;
        }
        bed.ends_well().await;
    }

    async fn a_statement_that_takes_too_long_is_told_to_the_handler(engine) {
        let mut bed = on(engine).database("statement_timeout = \"300ms\"").start("waits").await;
        for variant in ["", "/connection", "/transaction", "/cursor"] {
            let reply = bed.call(variant).await;
            assert_eq!((reply.status.as_u16(), &reply.json()["error"]["kind"]), (200, &"deadline-exceeded".into()), "{variant}: {reply:?}");
            bed.recovers().await;
        }
        bed.ends_well().await;
    }

    async fn a_body_that_does_not_come_ends_at_the_deadline(engine) {
        let mut bed = on(engine).limits(SHORT).start("waits").await;
        let silence = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::convert::Infallible>>());
        let request = Request::post("/waits/body").body(client::body(silence)).unwrap();
        let answer = bed.undisturbed(bed.client().open(request)).await.unwrap();
        assert_eq!(answer.whole().await.unwrap().problem(), (504, "deadline-exceeded".into()));
        bed.recovers().await;
        bed.ends_well().await;
    }

    async fn a_client_that_goes_away_takes_its_call_with_it(engine) {
        let mut bed = on(engine).limits("deadline = \"60s\"").database("statement_timeout = \"60s\"").start("waits").await;
        let request = Request::get("/waits/connection?seconds=30").body(client::bytes("")).unwrap();
        let client = bed.client();
        {
            let mut call = std::pin::pin!(client.open(request));
            match engine {
                Engine::Postgres => {
                    let runs = |rows: &[support::postgres::SessionRow]| rows.iter().any(|row| row.state == "active" && row.query.contains("pg_sleep"));
                    let running = bed.postgres().until_sessions("the statement", Duration::from_secs(10), runs);
                    tokio::select! { () = running => {}, answer = &mut call => panic!("{answer:?}") }
                }
                Engine::Mariadb => {
                    let runs = |rows: &[support::mariadb::SessionRow]| rows.iter().any(|row| row.state == "User sleep");
                    let running = bed.mariadb().until_sessions("the statement", Duration::from_secs(10), runs);
                    tokio::select! { () = running => {}, answer = &mut call => panic!("{answer:?}") }
                }
                // Nothing to look at from outside: as many calls of another plugin as take their time.
                Engine::Sqlite => for _ in 0..20 {
                    tokio::select! { _ = client.get("/bystander/hello") => {}, answer = &mut call => panic!("{answer:?}") }
                },
            }
        }
        if engine == Engine::Postgres {
            let gone = |rows: &[support::postgres::SessionRow]| rows.iter().all(|row| row.state != "active");
            bed.postgres().until_sessions("the end of the statement", Duration::from_secs(2), gone).await;
        }
        if engine == Engine::Mariadb {
            let gone = |rows: &[support::mariadb::SessionRow]| rows.iter().all(|row| row.command == "Sleep");
            bed.mariadb().until_sessions("the end of the statement", Duration::from_secs(2), gone).await;
        }
        bed.recovers().await;
        bed.ends_well().await;
    }
}

//! The handler for WASI 0.3: many statements at once, streams, and calls that are given up half-way.

use serde_json::json;

use super::{
    bed::{Engine, GRANT, on},
    on_every_engine,
};

fn slow(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "SELECT+pg_sleep(30)",
        Engine::Mariadb => "SELECT+sleep(30)",
        Engine::Sqlite => {
            "WITH+RECURSIVE+n(i)+AS+(SELECT+1+UNION+ALL+SELECT+i%2B1+FROM+n+LIMIT+1000000000000)+SELECT+count(*)+FROM+n"
        }
    }
}

on_every_engine! {
    async fn statements_run_at_the_same_time_within_the_grant(engine) {
        let mut bed = on(engine).start("probe_async").await;
        assert_eq!(bed.call("/hello").await.text(), "hello");
        let json = bed.call(&format!("/concurrent?count={GRANT}&sql=SELECT+count(*)+FROM+notes")).await.json();
        let outcomes = json.as_array().unwrap();
        assert_eq!(outcomes.len(), GRANT);
        assert!(outcomes.iter().all(|outcome| outcome["ok"]["rows"] == json!([[{ "signed": 3 }]])), "{json}");
        let reply = bed.call("/stream?batch=2&sql=SELECT+note+FROM+notes+ORDER+BY+id").await;
        assert_eq!(reply.text(), "[[{\"text\":\"one\"}],[{\"text\":\"two\"}]]\n[[{\"text\":\"three\"}]]\n");
        let json = bed.call("/transaction?end=rollback&sql=DELETE+FROM+notes").await.json();
        assert_eq!(json, json!({ "execute": { "ok": { "rows-affected": 3, "last-insert-id": json["execute"]["ok"]["last-insert-id"] } }, "end": { "ok": null } }));
        bed.recovers().await;
        bed.ends_well().await;
    }

    async fn a_call_that_is_given_up_is_cancelled_and_dooms_its_transaction(engine) {
        let mut bed = on(engine).limits("deadline = \"15s\"").start("probe_async").await;
        let json = bed.call(&format!("/cancel?sql={}", slow(engine))).await.json();
        assert_eq!((&json["given up"], json["after"]["ok"].is_null()), (&json!(true), false), "{json}");
        bed.recovers().await;
        let json = bed.call(&format!("/cancel-in-transaction?sql={}", slow(engine))).await.json();
        assert_eq!((&json["given up"], json["after"]["ok"].is_null()), (&json!(true), false), "{json}");
        assert!(json["query"]["ok"].is_null() && json["commit"]["ok"].is_null(), "{json}");
        assert!(!json["query"]["error"].is_null() && !json["commit"]["error"].is_null(), "{json}");
        bed.recovers().await;
        let reply = bed.call(&format!("/abandons?sql={}", slow(engine))).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "abandoned"));
        bed.recovers().await;
        bed.ends_well().await;
    }

    async fn misdeeds_of_a_concurrent_handler_are_contained(engine) {
        let limits = "fuel = 20_000_000, deadline = \"1s\", memory = \"32MiB\"";
        let mut bed = on(engine).limits(limits).start("probe_async").await;
        for (variant, status, code) in [
            ("/waits", 504, "deadline-exceeded"),
            ("/traps?sql=DELETE+FROM+notes", 500, "handler-trapped"),
            ("/panics", 500, "handler-trapped"),
            ("/spins", 500, "fuel-exhausted"),
        ] {
            assert_eq!(bed.call(variant).await.problem(), (status, code.into()), "{variant}");
            bed.recovers().await;
        }
        let reply = bed.call("/refuses").await;
        assert!(reply.status.is_server_error() && !reply.text().contains("secret"), "{reply:?}");
        bed.recovers().await;
        bed.ends_well().await;
    }
}

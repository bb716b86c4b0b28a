//! A handler that tries to control transactions with SQL.

use serde_json::Value as Json;

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn transaction_control_as_sql_is_refused_and_leaves_nothing(engine) {
        let mut bed = on(engine).limits("deadline = \"15s\"").start("raw_transaction").await;
        let reply = bed.call("").await;
        assert_eq!(reply.status, 200, "{reply:?}\n{}", bed.host.log());
        let json = reply.json();
        let outcomes = |group: &str| json[group].as_object().unwrap().clone();
        let kind = |outcome: &Json| outcome["error"]["kind"].as_str().unwrap_or("none").to_owned();
        let wrong: Vec<_> = outcomes("plain").into_iter().filter(|(_, outcome)| kind(outcome) != "denied").collect();
        assert!(wrong.is_empty(), "not denied: {wrong:#?}");
        let wrong: Vec<_> = outcomes("several").into_iter().filter(|(_, outcome)| outcome["error"].is_null()).collect();
        assert!(wrong.is_empty(), "not refused: {wrong:#?}");
        let wrong: Vec<_> = outcomes("innocent").into_iter().filter(|(_, outcome)| !outcome["error"].is_null()).collect();
        assert!(wrong.is_empty(), "refused: {wrong:#?}");
        bed.recovers_but_for_notes().await;
        // A DO block that commits what it wrote is a statement like any other.
        let notes = bed.database.notes().await;
        assert!(notes.iter().filter(|note| *note != "raw").eq(["one", "two", "three"]), "{notes:?}");
        bed.ends_well().await;
    }
}

//! Handlers that change what a session remembers, its name among it.

use std::time::Duration;

use super::bed::{Engine, on};

#[tokio::test]
async fn a_renamed_session_is_cleaned_before_the_next_borrower_sees_it() {
    let mut bed = on(Engine::Postgres).start("renames").await;
    for _ in 0..4 {
        assert_eq!(bed.call("").await.status, 200);
    }
    bed.recovers().await;
    let somebody = |rows: &[support::postgres::SessionRow]| rows.iter().all(|row| row.application_name != "somebody else");
    bed.postgres().until_sessions("the old names", Duration::from_secs(5), somebody).await;
    let outcomes = bed
        .run(serde_json::json!([
            { "do": "query", "sql": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())" },
            { "do": "query", "sql": "SELECT count(*) FROM pg_class WHERE relname = 'residue'" },
            { "do": "query", "sql": "SELECT current_setting('statement_timeout') <> '0'" },
        ]))
        .await;
    assert_eq!(outcomes[0]["ok"]["rows"][0][0]["signed"], 0, "{outcomes:?}");
    assert_eq!(outcomes[1]["ok"]["rows"][0][0]["signed"], 0, "{outcomes:?}");
    assert_eq!(outcomes[2]["ok"]["rows"][0][0]["boolean"], true, "{outcomes:?}");
    bed.ends_well().await;
}

#[tokio::test]
async fn a_renamed_session_is_found_and_its_statement_cancelled() {
    let limits = "fuel = 200_000_000, deadline = \"1s\", memory = \"32MiB\"";
    let mut bed = on(Engine::Postgres).limits(limits).start("renames").await;
    assert_eq!(bed.call("/waits").await.problem(), (504, "deadline-exceeded".into()));
    let gone =
        |rows: &[support::postgres::SessionRow]| rows.iter().all(|row| !row.query.contains("pg_sleep") || row.state != "active");
    bed.postgres().until_sessions("the end of the statement", Duration::from_secs(2), gone).await;
    bed.recovers().await;
    assert_eq!(bed.call("/traps").await.problem(), (500, "handler-trapped".into()));
    bed.recovers().await;
    bed.ends_well().await;
}

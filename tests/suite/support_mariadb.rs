//! What the tests are told of sessions on MariaDB is true at the moment that they ask.

use std::time::Duration;

use sqlx::Connection;
use support::mariadb::MariadbDatabase;

#[tokio::test]
async fn sessions_are_seen_until_they_end_and_transactions_while_they_last_however_often_one_asks() {
    const BOUND: Duration = Duration::from_secs(5);
    let database = MariadbDatabase::create().await;
    database.execute("CREATE TABLE notes (note TEXT NOT NULL)").await;
    database.until_quiet(0, BOUND).await;
    let mut owner = database.connect().await;
    database.until_quiet(1, BOUND).await;
    for begin in ["START TRANSACTION", "START TRANSACTION; INSERT INTO notes VALUES ('one')"] {
        sqlx::raw_sql(begin).execute(&mut owner).await.unwrap();
        // At once, right after it was asked before.
        let sessions = database.sessions().await;
        assert_eq!(sessions.iter().map(|session| session.in_transaction).collect::<Vec<_>>(), [true], "{sessions:?}");
        sqlx::raw_sql("ROLLBACK").execute(&mut owner).await.unwrap();
        let sessions = database.sessions().await;
        assert_eq!(sessions.iter().map(|session| session.in_transaction).collect::<Vec<_>>(), [false], "{sessions:?}");
    }
    // Whoever goes elsewhere is still the owner.
    sqlx::raw_sql("USE information_schema").execute(&mut owner).await.unwrap();
    assert_eq!(database.sessions().await.len(), 1);
    database.terminate_all().await;
    database.until_quiet(0, BOUND).await;
    assert!(owner.ping().await.is_err());
}

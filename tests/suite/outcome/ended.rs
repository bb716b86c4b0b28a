//! A COMMIT that takes its time: ended from outside, out of time, or refused in the end.

use std::{sync::Arc, time::Duration};

use sqlx::{Connection as _, MySqlConnection};
use support::{
    mariadb,
    postgres::SessionRow,
    servers::{Engine, ServerDatabase},
    wait,
};
use tokio::time::Instant;
use wharf::{
    driver::{FailureKind, Operation, mysql::Mysql, settings::Settings as DriverSettings},
    pool::{Limit, Until, Via},
};

use super::{PATIENCE, Pool, TRANSACTION, execute, failure, ground::Ground, query, run};

/// No time for a COMMIT that takes any.
fn soon() -> Until {
    Until { at: Instant::now() + Duration::from_millis(100), limit: Limit::Statement }
}

#[tokio::test]
async fn a_commit_that_is_ended_or_takes_too_long_is_unknown_on_postgres() {
    let ground = Ground::new(Engine::Postgres).await;
    ground
        .database
        .execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .await;
    let ServerDatabase::Postgres(database) = &ground.database else { panic!("PostgreSQL") };
    let pool = Pool::new(ground.driver()).await;
    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('ended')")).await.unwrap();
    let committing = run(&hold, TRANSACTION, Operation::Commit);
    let ending = async {
        let running = |sessions: &[SessionRow]| sessions.iter().any(|row| row.query.ends_with("COMMIT") && row.state == "active");
        database.until_sessions("a commit under way", PATIENCE, running).await;
        database.terminate_all().await;
    };
    let (committed, ()) = tokio::join!(committing, ending);
    assert_eq!(failure(committed).kind, FailureKind::CommitUnknown);
    drop(hold);

    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('late')")).await.unwrap();
    let late = hold.run(TRANSACTION, Operation::Commit, soon()).await;
    assert_eq!(failure(late).kind, FailureKind::CommitUnknown);
    drop(hold);
    drop(pool.borrow_it().await);
    pool.close().await;
    assert_eq!(ground.settled().await, "");
}

/// The administrator of a MariaDB server that can keep everybody from committing, which is why nobody else may use it.
struct Gate(MySqlConnection);

impl Gate {
    async fn say(&mut self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut self.0).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn close(&mut self) {
        self.say("FLUSH TABLES WITH READ LOCK").await;
    }

    async fn open(&mut self) {
        self.say("UNLOCK TABLES").await;
    }

    async fn text(&mut self, sql: &str) -> String {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut self.0).await.unwrap()
    }

    /// Waits until somebody commits, and ends the session.
    async fn end_the_commit(&mut self) {
        let sql = "SELECT COALESCE(GROUP_CONCAT(ID), '') FROM information_schema.PROCESSLIST \
                   WHERE INFO LIKE '%COMMIT%' AND STATE = 'Waiting for backup lock'";
        let own = tokio::sync::Mutex::new(self);
        let id = wait::until("a commit under way", PATIENCE, || async {
            let id = own.lock().await.text(sql).await;
            if id.is_empty() { Err("nobody commits".to_owned()) } else { Ok(id) }
        })
        .await;
        own.lock().await.say(&format!("KILL CONNECTION {id}")).await;
    }
}

#[tokio::test]
async fn a_commit_that_is_ended_or_takes_too_long_is_unknown_on_mariadb_and_one_that_is_refused_has_failed() {
    let server = mariadb::start(&[]);
    let mut gate = Gate(server.connect("mysql").await);
    gate.say("CREATE DATABASE app; CREATE TABLE app.notes (note VARCHAR(100) PRIMARY KEY)").await;
    // How long the server waits before it refuses a COMMIT that cannot go on.
    let settings = |seconds: u64| DriverSettings {
        allow_superuser: true,
        statement_timeout: Duration::from_secs(seconds),
        ..DriverSettings::default()
    };
    let driver = |seconds: u64| Arc::new(Mysql::new(&server.administrator_url("app"), settings(seconds)).unwrap());
    let pool = Pool::new(driver(60)).await;
    for (note, ended) in [("ended", true), ("late", false)] {
        let hold = pool.begun().await;
        run(&hold, TRANSACTION, execute(&format!("INSERT INTO notes VALUES ('{note}')"))).await.unwrap();
        gate.close().await;
        let committed = if ended {
            tokio::join!(run(&hold, TRANSACTION, Operation::Commit), gate.end_the_commit()).0
        } else {
            hold.run(TRANSACTION, Operation::Commit, soon()).await
        };
        assert_eq!(failure(committed).kind, FailureKind::CommitUnknown, "{note}");
        gate.open().await;
        drop(hold);
        let next = pool.borrow_it().await;
        run(&next, Via::Connection, query("SELECT 1")).await.unwrap();
    }
    pool.close().await;

    let pool = Pool::new(driver(1)).await;
    let hold = pool.begun().await;
    run(&hold, TRANSACTION, execute("INSERT INTO notes VALUES ('refused')")).await.unwrap();
    gate.close().await;
    let refused = failure(run(&hold, TRANSACTION, Operation::Commit).await);
    assert!(refused.kind != FailureKind::CommitUnknown && refused.code.is_some() && !refused.lost, "{refused:?}");
    gate.open().await;
    // The transaction is over, and the connection stays its holder's.
    run(&hold, Via::Connection, execute("INSERT INTO notes VALUES ('after')")).await.unwrap();
    drop(hold);
    pool.close().await;
    // Unknown is what the two before are.
    let sql = "SELECT GROUP_CONCAT(note) FROM app.notes WHERE note NOT IN ('ended', 'late')";
    assert_eq!(gate.text(sql).await, "after");
    gate.0.close().await.unwrap();
}

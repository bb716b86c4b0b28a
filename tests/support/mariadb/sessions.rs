//! What the server lists, seen from a connection that is none of the host's.

use std::time::Duration;

use sqlx::{MySqlConnection, Row};

use super::MariadbDatabase;
use crate::wait;

/// Whether a server tells of transactions and of locks; it can be set for MariaDB only when it starts.
const TELLS: &str = "SELECT (SELECT COUNT(*) FROM performance_schema.setup_consumers WHERE ENABLED = 'YES' \
        AND NAME IN ('events_transactions_current', 'global_instrumentation', 'thread_instrumentation')) \
    + (SELECT COUNT(*) FROM performance_schema.setup_instruments WHERE ENABLED = 'YES' \
        AND NAME IN ('transaction', 'wait/lock/metadata/sql/mdl'))";

/// Not by `INNODB_TRX`: the server shows the same copy of it for as long as somebody asks more often than every 0.1 s, and a transaction
/// that has only begun is not in it. A session that the performance schema does not know may do anything.
const SESSIONS: &str = "SELECT CAST(p.ID AS SIGNED) AS id, p.USER AS user, p.COMMAND AS command, COALESCE(p.STATE, '') AS state, \
        COALESCE(p.INFO, '') AS query, t.THREAD_ID IS NULL OR COALESCE(e.STATE = 'ACTIVE', FALSE) AS in_transaction \
    FROM information_schema.PROCESSLIST p LEFT JOIN performance_schema.threads t ON t.PROCESSLIST_ID = p.ID \
    LEFT JOIN performance_schema.events_transactions_current e ON e.THREAD_ID = t.THREAD_ID \
    WHERE p.DB = ? OR p.USER IN (?, ?, ?) ORDER BY p.ID";

/// A row of `information_schema.PROCESSLIST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// `CONNECTION_ID()`.
    pub id: i64,
    /// User.
    pub user: String,
    /// `Sleep`, `Query`, `Killed`, …
    pub command: String,
    /// What it is doing, such as `User sleep`.
    pub state: String,
    /// The statement that runs.
    pub query: String,
    /// A transaction is open, whether it has done anything or not.
    pub in_transaction: bool,
}

impl SessionRow {
    /// Nothing runs and nothing is open.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.command == "Sleep" && !self.in_transaction
    }
}

/// # Panics
/// When the server keeps to itself what the tests ask it.
pub(super) async fn must_tell(admin: &mut MySqlConnection) {
    let told: i64 = sqlx::query_scalar(TELLS).fetch_one(admin).await.expect("the performance schema");
    assert_eq!(
        told, 5,
        "the server of WHARF_TEST_MYSQL_URL must be started with --performance-schema=ON \
         --performance-schema-instrument=transaction=ON --performance-schema-instrument=wait/lock/metadata/sql/mdl=ON \
         --performance-schema-consumer-events-transactions-current=ON"
    );
}

impl MariadbDatabase {
    /// The sessions in this database, whoever opened them, and those of its users, wherever they are, by number.
    ///
    /// # Panics
    /// When the server refuses to say.
    pub async fn sessions(&self) -> Vec<SessionRow> {
        let mut admin = self.admin.lock().await;
        let users = [&self.owner, &self.reader, &self.control];
        let query = users.iter().fold(sqlx::query(SESSIONS).bind(&self.name), |query, user| query.bind(&user.name));
        let rows = query.fetch_all(&mut *admin).await.expect("PROCESSLIST");
        let text =
            |row: &sqlx::mysql::MySqlRow, column: &str| String::from_utf8_lossy(&row.get::<Vec<u8>, _>(column)).into_owned();
        rows.iter()
            .map(|row| SessionRow {
                id: row.get("id"),
                user: text(row, "user"),
                command: text(row, "command"),
                state: text(row, "state"),
                query: text(row, "query"),
                in_transaction: row.get::<i64, _>("in_transaction") != 0,
            })
            .collect()
    }

    /// Waits until `expected` holds of the sessions.
    ///
    /// # Panics
    /// After `bound`, with the sessions there were.
    pub async fn until_sessions(&self, what: &str, bound: Duration, expected: impl Fn(&[SessionRow]) -> bool) {
        wait::until(what, bound, || async {
            let sessions = self.sessions().await;
            if expected(&sessions) { Ok(()) } else { Err(format!("{sessions:#?}")) }
        })
        .await;
    }

    /// Waits until at most `most` sessions are left, each of them idle and none in a transaction.
    ///
    /// # Panics
    /// After `bound`, with the sessions there were.
    pub async fn until_quiet(&self, most: usize, bound: Duration) {
        let quiet = |sessions: &[SessionRow]| sessions.len() <= most && sessions.iter().all(SessionRow::is_idle);
        self.until_sessions(&format!("at most {most} sessions, all idle"), bound, quiet).await;
    }
}

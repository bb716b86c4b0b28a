//! What the server lists, seen from a connection that is none of the host's.

use std::time::Duration;

use sqlx::Row;

use super::MariadbDatabase;
use crate::wait;

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
    /// A transaction that has done anything is open.
    pub in_transaction: bool,
}

impl SessionRow {
    /// Nothing runs and nothing is open.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.command == "Sleep" && !self.in_transaction
    }
}

impl MariadbDatabase {
    /// The sessions in this database, whoever opened them, by number.
    ///
    /// # Panics
    /// When the server refuses to say.
    pub async fn sessions(&self) -> Vec<SessionRow> {
        let mut admin = self.admin.lock().await;
        let rows = sqlx::query(
            "SELECT CAST(p.ID AS SIGNED) AS id, p.USER AS user, p.COMMAND AS command, COALESCE(p.STATE, '') AS state, \
                    COALESCE(p.INFO, '') AS query, t.trx_id IS NOT NULL AS in_transaction \
               FROM information_schema.PROCESSLIST p LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID \
              WHERE p.DB = ? ORDER BY p.ID",
        )
        .bind(&self.name)
        .fetch_all(&mut *admin)
        .await
        .expect("PROCESSLIST");
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

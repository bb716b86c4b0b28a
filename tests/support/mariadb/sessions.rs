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

/// The sessions with an open transaction, by number, out of InnoDB's own words.
fn in_transaction(status: &str) -> Vec<i64> {
    let active =
        status.split("---TRANSACTION ").skip(1).filter(|of| of.lines().next().is_some_and(|line| line.contains(", ACTIVE")));
    let session = |of: &str| of.split_once("MariaDB thread id ")?.1.split(',').next()?.parse().ok();
    active.filter_map(session).collect()
}

impl MariadbDatabase {
    /// The sessions in this database, whoever opened them, by number.
    ///
    /// # Panics
    /// When the server refuses to say.
    pub async fn sessions(&self) -> Vec<SessionRow> {
        let mut admin = self.admin.lock().await;
        let rows = sqlx::query(
            "SELECT CAST(ID AS SIGNED) AS id, USER AS user, COMMAND AS command, COALESCE(STATE, '') AS state, \
                    COALESCE(INFO, '') AS query \
               FROM information_schema.PROCESSLIST WHERE DB = ? ORDER BY ID",
        )
        .bind(&self.name)
        .fetch_all(&mut *admin)
        .await
        .expect("PROCESSLIST");
        // INNODB_TRX would be simpler, but it is a picture that is not brought up to date while somebody keeps looking at it.
        let status = sqlx::raw_sql("SHOW ENGINE INNODB STATUS").fetch_one(&mut *admin).await.expect("the status of InnoDB");
        let open = in_transaction(&status.get::<String, _>("Status"));
        let text =
            |row: &sqlx::mysql::MySqlRow, column: &str| String::from_utf8_lossy(&row.get::<Vec<u8>, _>(column)).into_owned();
        rows.iter()
            .map(|row| SessionRow {
                id: row.get("id"),
                user: text(row, "user"),
                command: text(row, "command"),
                state: text(row, "state"),
                query: text(row, "query"),
                in_transaction: open.contains(&row.get("id")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transaction_is_seen_from_its_first_statement_to_its_end_and_not_longer() {
        let database = MariadbDatabase::create().await;
        database.execute("CREATE TABLE t (id INT PRIMARY KEY)").await;
        let mut connection = database.connect().await;
        for (statements, expected) in [
            ("SELECT 1", false),
            ("START TRANSACTION; INSERT INTO t VALUES (1)", true),
            ("COMMIT", false),
            ("START TRANSACTION READ ONLY; SELECT * FROM t", true),
            ("ROLLBACK", false),
        ] {
            sqlx::raw_sql(statements).execute(&mut connection).await.expect(statements);
            // Over and over, which must not keep what is seen from being true.
            for _ in 0..20 {
                let sessions = database.sessions().await;
                assert!(sessions.len() == 1 && sessions[0].in_transaction == expected, "{statements}: {sessions:?}");
            }
        }
    }
}

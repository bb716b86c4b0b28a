//! What the server lists, seen from a connection that is none of the host's.

use std::time::Duration;

use sqlx::Row;

use super::PostgresDatabase;
use crate::wait;

/// A row of `pg_stat_activity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Process id.
    pub pid: i32,
    /// Role.
    pub usename: String,
    /// As the session calls itself, which a guest can change.
    pub application_name: String,
    /// `active`, `idle`, `idle in transaction`, …
    pub state: String,
    /// The statement that runs, or ran last.
    pub query: String,
}

impl PostgresDatabase {
    /// The sessions in this database, whoever opened them, by process id.
    pub async fn sessions(&self) -> Vec<SessionRow> {
        let mut admin = self.admin.lock().await;
        let rows = sqlx::query(
            "SELECT pid, coalesce(usename, '') AS usename, application_name, coalesce(state, '') AS state, coalesce(query, '') AS query
             FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend' ORDER BY pid",
        )
        .bind(&self.name)
        .fetch_all(&mut *admin)
        .await
        .expect("pg_stat_activity");
        let text = |row: &sqlx::postgres::PgRow, column: &str| row.get::<String, _>(column);
        rows.iter()
            .map(|row| SessionRow {
                pid: row.get("pid"),
                usename: text(row, "usename"),
                application_name: text(row, "application_name"),
                state: text(row, "state"),
                query: text(row, "query"),
            })
            .collect()
    }

    /// The sessions that have a transaction open, a running statement's included.
    pub async fn in_transaction(&self) -> Vec<SessionRow> {
        let open = |row: &SessionRow| row.state.starts_with("idle in transaction") || row.state == "active";
        self.sessions().await.into_iter().filter(open).collect()
    }

    /// What the sessions in this database have locked, one line a lock, such as `session 7 holds ExclusiveLock on advisory 4711`.
    ///
    /// # Panics
    /// When the server refuses to say.
    pub async fn locks(&self) -> Vec<String> {
        let mut admin = self.admin.lock().await;
        sqlx::query_scalar(
            "SELECT format('session %s holds %s on %s %s', l.pid, l.mode, l.locktype, coalesce(l.relation::regclass::text, l.objid::text, ''))
             FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE a.datname = $1 AND l.granted ORDER BY l.pid",
        )
        .bind(&self.name)
        .fetch_all(&mut *admin)
        .await
        .expect("pg_locks")
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
        let quiet = |sessions: &[SessionRow]| sessions.len() <= most && sessions.iter().all(|row| row.state == "idle");
        self.until_sessions(&format!("at most {most} sessions, all idle"), bound, quiet).await;
    }

    /// What must hold once a host has said that nothing is left: none of its pools' sessions at once, and a moment later not even that of
    /// the control path, whose good-bye nobody confirms.
    ///
    /// # Panics
    /// When there is one.
    pub async fn nothing_left(&self) {
        let pooled = self.sessions().await.into_iter().filter(|session| session.application_name != "wharf control");
        assert_eq!(pooled.collect::<Vec<_>>(), []);
        self.until_quiet(0, Duration::from_secs(5)).await;
    }
}

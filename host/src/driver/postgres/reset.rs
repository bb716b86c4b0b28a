//! Takes a session back from its borrower: clears what may be left and proves that it is gone.

use sqlx::{Connection as _, postgres::PgConnection};
use tokio::time::Instant;

use super::{
    catalog,
    connection::{PostgresConnection, Transaction},
    error,
    residue::{Residue, Verdict},
    simple::{self, TextRows},
};
use crate::driver::{Failure, FailureKind};

/// The parts of `DISCARD ALL` but for `DEALLOCATE ALL`, which would drop statements that sqlx still counts on. ROLLBACK comes first, for
/// in an aborted transaction nothing else would run.
const CLEAR: &str = "ROLLBACK; CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; UNLISTEN *; \
    SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES";

/// Enough when only harmless statements ran, whatever became of their transaction, and before it is known whether they were: the
/// catalog is asked under the settings of a fresh session. What follows the ROLLBACK in the same message starts a transaction of its own,
/// so the answer is true only when the old one is over.
const CLEAR_LIGHTLY: &str = "ROLLBACK; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; DISCARD SEQUENCES; \
    SELECT pg_catalog.now() OPERATOR(pg_catalog.=) pg_catalog.statement_timestamp()";

/// Facts that must be as they were at connect. The first is whether no transaction is open; the last two count prepared statements,
/// those made by `PREPARE` and all. UNLISTEN counts from its commit on, so this is a message of its own.
const FACTS: &str = "SELECT pg_catalog.now() OPERATOR(pg_catalog.=) pg_catalog.statement_timestamp(), \
    current_user, session_user, \
    pg_catalog.current_setting('role'), \
    pg_catalog.current_setting('application_name'), \
    pg_catalog.current_setting('search_path'), \
    pg_catalog.current_setting('statement_timeout'), \
    pg_catalog.current_setting('default_transaction_read_only'), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_listening_channels()), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks l \
      WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursors WHERE is_holdable), \
    CASE WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 0 \
         ELSE (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c \
                WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) END, \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements WHERE from_sql), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements)";

/// The facts of a fresh session.
#[derive(Debug, PartialEq)]
pub(super) struct Baseline {
    facts: TextRows,
}

impl Baseline {
    pub(super) async fn read(link: &mut PgConnection) -> Result<Self, sqlx::Error> {
        Ok(Self { facts: simple::run(link, FACTS).await? })
    }

    /// Whether the session is as it was, and has exactly the `cached` prepared statements that sqlx knows of.
    async fn holds(&self, link: &mut PgConnection, cached: usize) -> Result<bool, sqlx::Error> {
        let mut facts = simple::run(link, FACTS).await?;
        let total = facts.first_mut().and_then(|row| row.last_mut().map(std::mem::take)).flatten();
        let then = self.facts.first().map(|row| &row[..row.len() - 1]);
        let now = facts.first().map(|row| &row[..row.len() - 1]);
        Ok(total == Some(cached.to_string()) && then == now && simple::cell(&facts, 0, 0) == Some("t"))
    }
}

fn dirty() -> Failure {
    Failure::new(FailureKind::Disconnected, "the session could not be proven clean").lost()
}

impl PostgresConnection {
    /// Whether the cached statements are due to be forgotten: they are too old, or one is too long to be kept.
    fn cache_is_due(&self) -> bool {
        let settings = &self.shared.settings.statement_cache;
        self.forget_statements
            || (self.link.cached_statements_size() > 0
                && (settings.count == 0 || self.cached_since.elapsed() >= settings.max_age))
    }

    pub(super) fn reset_is_due(&self) -> bool {
        self.lost || self.transaction != Transaction::None || !self.residue.is_empty() || self.cache_is_due()
    }

    pub(super) async fn take_back(&mut self) -> Result<(), Failure> {
        if self.lost {
            return Err(dirty());
        }
        let result = self.clear().await;
        // A session that was not proven clean is never used again.
        self.lost = result.is_err();
        result
    }

    async fn clear(&mut self) -> Result<(), Failure> {
        self.cursors.clear();
        let cleared = self.residue.anything;
        if cleared {
            self.clear_wholly().await?;
        } else if self.transaction != Transaction::None || !self.residue.is_empty() {
            self.clear_lightly().await?;
        }
        self.confirm_pending().await?;
        if self.residue.anything && !cleared {
            self.clear_wholly().await?;
        }
        if self.residue.anything {
            let cached = self.link.cached_statements_size();
            if !self.baseline.holds(&mut self.link, cached).await.map_err(error::failure)? {
                return Err(dirty());
            }
        }
        // What was prepared under changed settings would be read differently by the next borrower.
        self.forget_statements |= self.residue.settings && self.prepared_in_doubt;
        if self.cache_is_due() {
            self.link.clear_cached_statements().await.map_err(error::failure)?;
            self.cached_since = Instant::now();
            self.forget_statements = false;
        }
        self.residue = Residue::default();
        (self.in_doubt, self.prepared_in_doubt) = (false, false);
        Ok(())
    }

    async fn clear_wholly(&mut self) -> Result<(), Failure> {
        // A seed cannot be taken back, only replaced by one that the borrower before does not know.
        let seed: f64 = rand::random();
        let sql = format!("{CLEAR}; SELECT pg_catalog.setseed({seed})");
        simple::run(&mut self.link, sql).await.map_err(error::failure)?;
        self.transaction = Transaction::None;
        Ok(())
    }

    async fn clear_lightly(&mut self) -> Result<(), Failure> {
        let rows = simple::run(&mut self.link, CLEAR_LIGHTLY).await.map_err(error::failure)?;
        if simple::cell(&rows, 0, 0) != Some("t") {
            return Err(dirty());
        }
        self.transaction = Transaction::None;
        Ok(())
    }

    /// Asks the catalog about the statements that looked harmless. Settings are those of a fresh session again.
    async fn confirm_pending(&mut self) -> Result<(), Failure> {
        for pending in std::mem::take(&mut self.residue.pending) {
            let Some(conditions) = pending.conditions() else { continue };
            let verdict = match catalog::confirm(&mut self.link, conditions).await {
                Ok(verdict) => verdict,
                Err(error) => match error::failure(error) {
                    failure if failure.lost => return Err(failure),
                    // Such as a schema that the role may not look into.
                    _ => Verdict::Unknown,
                },
            };
            self.shared.classifier.confirm(&pending, verdict);
            self.residue.add(verdict);
        }
        Ok(())
    }
}

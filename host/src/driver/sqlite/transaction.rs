//! The transaction of a session: begun, committed and rolled back by the host, never by the guest's SQL.

use sqlx::{AssertSqlSafe, Executor};

use super::{
    authorizer,
    connection::{Line, SqliteSession},
    failure,
    shared::Raised,
    statement::Description,
};
use crate::driver::{Answer, Failure, FailureKind, TransactionOptions, settings::Access};

/// The host's view of the transaction. A guest cannot change it with SQL, only by making a statement fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transaction {
    None,
    /// Ends by commit, rollback, or an error that makes the engine roll back.
    Open {
        read_only: bool,
    },
    /// The engine rolled back by itself; what follows must not run outside of any transaction. Ends by commit or rollback.
    RolledBack,
}

impl SqliteSession {
    pub(super) async fn begin(&mut self, options: TransactionOptions) -> Result<(), Failure> {
        if self.transaction != Transaction::None {
            return Err(Failure::new(FailureKind::Invalid, "a transaction is open already"));
        }
        // SQLite is always serializable, which is as strong as any level asked for.
        let read_only = options.read_only || self.access == Access::ReadOnly;
        self.begin_fixed(read_only).await?;
        self.transaction = Transaction::Open { read_only };
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        match self.transaction {
            Transaction::None => Err(Failure::new(FailureKind::Invalid, "no transaction is open")),
            Transaction::RolledBack => {
                self.transaction = Transaction::None;
                Err(rolled_back())
            }
            Transaction::Open { .. } => {
                // Ends its cursors, as on PostgreSQL.
                self.close_cursor().await;
                self.say_commit().await?;
                self.transaction = Transaction::None;
                Ok(())
            }
        }
    }

    pub(super) async fn roll_back(&mut self) -> Result<(), Failure> {
        self.close_cursor().await;
        if let Transaction::Open { .. } = self.transaction {
            let said = self.say("ROLLBACK").await;
            // Without a transaction the engine refuses, which is as good.
            if let Err(failure) = said
                && (failure.lost || self.in_transaction().await?)
            {
                return Err(failure);
            }
        }
        self.transaction = Transaction::None;
        Ok(())
    }

    pub(super) async fn savepoint(&mut self, what: &str, name: &str) -> Result<Answer, Failure> {
        // Outside a transaction SAVEPOINT would begin one.
        if self.transaction == Transaction::None {
            return Err(Failure::new(FailureKind::Invalid, "no transaction is open"));
        }
        // SQLite takes names that differ in case for the same, and the caller does not.
        let exact: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.say(&format!("{what} \"s{exact}\"")).await.map(|()| Answer::Done)
    }

    /// Begins a transaction whose snapshot, and with it the schema, is fixed from here on.
    pub(super) async fn begin_fixed(&mut self, read_only: bool) -> Result<(), Failure> {
        // BEGIN alone fixes nothing (DEFERRED) or does not look whether the schema is the one that the session knows (IMMEDIATE).
        let begun = self
            .say(match read_only {
                true => "BEGIN DEFERRED; SELECT 1 FROM sqlite_schema LIMIT 1",
                false => "BEGIN IMMEDIATE; SELECT 1 FROM sqlite_schema LIMIT 1",
            })
            .await;
        if matches!(&begun, Err(failure) if !failure.lost) && self.in_transaction().await? {
            self.say("ROLLBACK").await?;
        }
        begun
    }

    /// Begins a transaction for one statement that the engine's own would not do for; tells whether it did.
    pub(super) async fn begin_own(&mut self, description: &Description) -> Result<bool, Failure> {
        // A statement that writes and returns rows has written before its rows are read: if reading them fails, so must the writing.
        let writes = !description.read_only && !description.columns.is_empty();
        let own = self.transaction == Transaction::None && (writes || description.selects_all);
        if own {
            self.begin_fixed(!writes).await?;
        }
        Ok(own)
    }

    pub(super) async fn end_own(&mut self, own: bool, keep: bool) -> Result<(), Failure> {
        if !own {
            return Ok(());
        }
        let committed = match keep {
            true => self.say_commit().await,
            false => Ok(()),
        };
        let open = !keep || matches!(&committed, Err(failure) if !failure.lost);
        if open && self.in_transaction().await? {
            self.say("ROLLBACK").await?;
        }
        committed
    }

    async fn say_commit(&mut self) -> Result<(), Failure> {
        self.say("COMMIT").await.map_err(|failure| match failure.lost {
            true => Failure { kind: FailureKind::CommitUnknown, ..failure },
            false => failure,
        })
    }

    /// Runs SQL of the host's own: past the authorizer, and whether or not the guest was cancelled.
    pub(super) async fn say(&mut self, sql: &str) -> Result<(), Failure> {
        let _host = Raised::new(&self.shared.host);
        // Not kept by sqlx, so that no guest's text ever meets a statement that was compiled past the authorizer.
        let query = sqlx::raw_sql(AssertSqlSafe(sql));
        let said = self.line.connection()?.execute(query).await;
        // When the host's own SQL fails, a reset looks at what the engine has.
        self.wrote |= said.is_err();
        said.map(|_| ()).map_err(|error| failure::of(&error, &self.shared))
    }

    /// As the engine sees it.
    pub(super) async fn in_transaction(&mut self) -> Result<bool, Failure> {
        let mut handle = self.line.connection()?.lock_handle().await.map_err(|error| failure::of(&error, &self.shared))?;
        Ok(authorizer::in_transaction(&mut handle))
    }

    /// Some errors make the engine roll back by itself; nothing else tells.
    pub(super) async fn see_what_is_left(&mut self) {
        if matches!((&self.line, self.transaction), (Line::Free(_), Transaction::Open { .. }))
            && matches!(self.in_transaction().await, Ok(false))
        {
            self.transaction = Transaction::RolledBack;
        }
    }
}

pub(super) fn rolled_back() -> Failure {
    Failure::new(FailureKind::TransactionAborted, "the engine rolled the transaction back after an error")
}

//! Whose lines they are: made once for a call, and asked for a line by all that it does.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    desk::{Audit, Operation},
    record::{Actor, Outcome, Reclaim, Request, Statement, Types},
    writer::Unavailable,
};

/// A call, as the log tells of it.
#[derive(Debug)]
pub struct Trail {
    audit: Arc<Audit>,
    request: Arc<str>,
    plugin: Arc<str>,
    digest: String,
    who: Option<String>,
    /// It has asked for a database that it was not granted, and a line says so.
    has_strayed: AtomicBool,
}

impl Trail {
    /// Of a call of this request to this plugin, with this digest; `who` is what a trusted proxy says of who asked.
    #[must_use]
    pub fn new(audit: Arc<Audit>, request: Arc<str>, plugin: Arc<str>, digest: impl Display, who: Option<String>) -> Self {
        Self { audit, request, plugin, digest: digest.to_string(), who, has_strayed: AtomicBool::new(false) }
    }

    /// Has a line written that an operation is about to begin.
    ///
    /// # Bounds
    /// As for [`Audit::intent`].
    /// # Errors
    /// As for [`Audit::intent`].
    /// # Cancellation
    /// As for [`Audit::intent`].
    pub async fn intent(&self, database: &str, statement: Statement<'_>, types: &Types) -> Result<Operation, Unavailable> {
        self.audit.intent(&Request { actor: self.actor(), database, statement, types }).await
    }

    /// Has a line written of an operation that was not allowed to begin.
    ///
    /// # Bounds
    /// As for [`Audit::refused`].
    /// # Errors
    /// As for [`Audit::refused`].
    /// # Cancellation
    /// As for [`Audit::refused`].
    pub async fn refused(
        &self,
        database: &str,
        statement: Statement<'_>,
        types: &Types,
        outcome: &Outcome<'_>,
    ) -> Result<(), Unavailable> {
        self.audit.refused(&Request { actor: self.actor(), database, statement, types }, outcome).await
    }

    /// Has a line written that the call asked for a database that it was not granted. Does not wait, so the first time has to do.
    pub fn strayed(&self, database: &str, outcome: &Outcome<'_>) {
        if !self.has_strayed.swap(true, Ordering::Relaxed) {
            let statement = Statement { verb: "open", ..Statement::default() };
            let types = Types::default();
            self.audit.refused_at_once(&Request { actor: self.actor(), database, statement, types: &types }, outcome);
        }
    }

    /// Has a line written of a connection that was taken back with something open on it. Does not wait.
    pub fn reclaimed(&self, database: &str, reason: &str, step: &str) {
        self.audit.reclaimed(Reclaim { actor: self.actor(), database, reason, step });
    }

    fn actor(&self) -> Actor<'_> {
        let Self { request, plugin, digest, who, .. } = self;
        Actor { request, plugin, digest, who: who.as_deref() }
    }
}

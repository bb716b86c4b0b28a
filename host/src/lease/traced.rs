//! What a trace tells of an operation of a guest: what was asked without its values, how long it took, what it came to.

use std::time::Duration;

use super::{Error, Scope};
use crate::{
    driver::{Answer, Operation, documents::Reply, redact},
    pool::{AcquireError, OperationError},
    telemetry::trace::{Kind, Span},
};

/// Bytes that are told of a statement.
const MAX_STATEMENT: usize = 240;

/// The span of an operation, if its call is traced. One that is dropped before its end was given up.
pub(super) struct Traced(Option<Span>);

impl Traced {
    /// Begins it. Reading on in a cursor and closing it have none: there may be very many.
    pub(super) fn begin(scope: &Scope, grant: usize, operation: &Operation) -> Self {
        let is_told = !matches!(operation, Operation::Fetch(..) | Operation::CloseCursor(_));
        Self(scope.trace().filter(|_| is_told).map(|trace| {
            let database = &scope.grant(grant).database;
            let (engine, name) = (database.engine(), operation.name());
            let mut span = trace.span(format!("{name} {}", database.name()), Kind::Client, Duration::ZERO);
            span.add("db.system.name", engine.system());
            span.add("db.operation.name", name);
            span.add("wharf.database", &**database.name());
            if let Some(shown) = redact::operation(engine, operation, MAX_STATEMENT) {
                span.add("db.query.text", shown.text);
                span.add("wharf.statement", shown.fingerprint.to_string());
            }
            span
        }))
    }

    /// Tells that the connection is there for which it waited.
    pub(super) fn leased(&mut self) {
        if let Some(span) = &mut self.0 {
            span.event("leased");
        }
    }

    /// Ends it.
    pub(super) fn end(mut self, answer: &Result<Answer, Error>) {
        let Some(mut span) = self.0.take() else { return };
        match answer {
            Ok(Answer::Rows(rows)) => span.add("db.response.returned_rows", i64::from(rows.batch.row_count)),
            Ok(Answer::Documents(Reply::Batch(batch))) => span.add("db.response.returned_rows", i64::from(batch.count)),
            Ok(Answer::Executed(execution)) => span.add("wharf.rows_affected", execution.rows_affected),
            Ok(_) => {}
            Err(error) => {
                span.fail(reason(error));
                if let Error::Operation(OperationError::Failed(failure)) | Error::Acquire(AcquireError::Connect(failure)) = error
                    && let Some(code) = &failure.code
                {
                    span.add("db.response.status_code", code.as_str());
                }
            }
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if let Some(span) = &mut self.0 {
            span.fail("given-up");
        }
    }
}

/// The limit that was run into, or the kind of the error.
fn reason(error: &Error) -> &'static str {
    match error {
        Error::Acquire(AcquireError::QueueFull { .. }) => "max_waiters",
        Error::Acquire(AcquireError::WaitTimeout { limit, .. }) | Error::Operation(OperationError::TimedOut { limit, .. }) => {
            limit.name()
        }
        Error::Operation(OperationError::TooMany { what: limit, .. }) | Error::Limit { limit, .. } => limit,
        other => other.kind(),
    }
}

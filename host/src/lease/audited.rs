//! What the audit log has of an operation, where one is kept: a line before it, and one after it with what became of it; or one that says that
//! it was refused. Without a log nothing of this is run.

use tokio::time::{Instant, timeout_at};

use super::{Error, scope::Scope};
use crate::{
    driver::{
        Answer, Engine, Operation, Value,
        redact::{self, Redacted},
    },
    telemetry::audit::{self, MAX_STATEMENT, Outcome, Statement, Trail, Types, Unavailable},
};

/// The line that is owed after an operation; none without a log. Dropped, it says that the operation was abandoned.
#[derive(Default)]
pub(super) struct Line(Option<Box<Begun>>);

struct Begun {
    operation: audit::Operation,
    /// Nobody waits for a line longer than the call may last.
    until: Instant,
}

impl Line {
    /// Tells what became of the operation.
    pub(super) async fn end(self, answer: Result<&Answer, &Error>) {
        if let Some(begun) = self.0 {
            let Begun { operation, until } = *begun;
            let told = operation.end(&match answer {
                Ok(answer) => Outcome { outcome: "done", code: None, rows: answer.rows() },
                Err(error) => failed(error),
            });
            // It is asked for by now, and is written whoever waits. On the heap, so that it takes no room where there is no log.
            let _ = Box::pin(timeout_at(until, told)).await;
        }
    }
}

/// What a line says of something that is asked of a database.
struct Asked {
    verb: &'static str,
    shown: Option<Redacted>,
    fingerprint: String,
    types: Types,
}

impl Asked {
    fn new(verb: &'static str, shown: Option<Redacted>, params: &[Value]) -> Self {
        let fingerprint = shown.as_ref().map(|shown| shown.fingerprint.to_string()).unwrap_or_default();
        Self { verb, shown, fingerprint, types: params.iter().map(Value::name).collect() }
    }

    fn of(engine: Engine, operation: &Operation) -> Self {
        Self::new(operation.name(), redact::operation(engine, operation, MAX_STATEMENT), operation.params())
    }

    fn statement(&self) -> Statement<'_> {
        let text = self.shown.as_ref().map_or("", |shown| &shown.text);
        Statement { verb: self.verb, fingerprint: &self.fingerprint, text }
    }
}

/// Has the log say that an operation is about to begin.
///
/// # Bounds
/// Waits until the call is over at the longest.
/// # Errors
/// [`Error::Audit`] when the log does not say so, and nothing may be done without.
pub(super) async fn begin(scope: &Scope, trail: &Trail, grant: usize, operation: &Operation) -> Result<Line, Error> {
    let (database, until) = (&scope.grant(grant).database, scope.call().deadline);
    let asked = Asked::of(database.engine(), operation);
    let intent = trail.intent(database.name(), asked.statement(), &asked.types);
    match timeout_at(until, scope.over().run_until_cancelled(intent)).await {
        Ok(Some(Ok(operation))) => Ok(Line(Some(Box::new(Begun { operation, until })))),
        Ok(Some(Err(Unavailable))) | Err(_) => Err(Error::Audit),
        Ok(None) => Err(scope.over_error()),
    }
}

/// Has the log say that an operation is refused.
pub(super) async fn refuse(scope: &Scope, trail: &Trail, grant: usize, operation: &Operation, error: &Error) {
    told(scope, trail, grant, &Asked::of(scope.grant(grant).database.engine(), operation), error).await;
}

/// The same of a request to a document database that makes no sense, so that only its collection is known.
pub(super) async fn refuse_request(scope: &Scope, trail: &Trail, grant: usize, collection: &str, error: &Error) {
    let shown = redact::statement(Engine::Mongodb, collection, MAX_STATEMENT);
    told(scope, trail, grant, &Asked::new("request", Some(shown), &[]), error).await;
}

/// Has the log say that a database is not granted.
pub(super) fn stray(trail: &Trail, database: &str, error: &Error) {
    trail.strayed(database, &failed(error));
}

/// Whether the log can be written or not, it stays refused.
async fn told(scope: &Scope, trail: &Trail, grant: usize, asked: &Asked, error: &Error) {
    let outcome = failed(error);
    let refused = trail.refused(scope.grant(grant).database.name(), asked.statement(), &asked.types, &outcome);
    let _ = timeout_at(scope.call().deadline, scope.over().run_until_cancelled(refused)).await;
}

fn failed(error: &Error) -> Outcome<'_> {
    Outcome { outcome: error.kind(), code: error.code(), rows: None }
}

//! The traits of a driver, as a script says.

use std::collections::HashMap;

use futures::future::{self, BoxFuture, FutureExt};
use wharf::driver::{
    Answer, Batch, ColumnInfo, Connection, Control, Driver, Engine, Execution, Failure, FailureKind, Operation, Rows, Session,
    Source, columns,
    documents::{self, Reply, Request, WriteOutcome},
    types::{Cells, Column, ColumnData},
};

use super::script::{Behaviour, Event, Kind, Outcome, Script, Step};

/// Writes down that a step began, and how it ended or that it was abandoned.
struct Witness<'a> {
    script: &'a Script,
    step: Step,
    session: i64,
    ended: bool,
}

impl<'a> Witness<'a> {
    fn begin(script: &'a Script, step: Step, session: i64) -> Self {
        script.note(Event::Began(step, session));
        Self { script, step, session, ended: false }
    }

    fn end(mut self, outcome: Outcome) {
        self.ended = true;
        self.script.note(Event::Ended(self.step, self.session, outcome));
    }
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.script.note(Event::Abandoned(self.step, self.session));
        }
    }
}

impl Script {
    /// Takes a step; `session` is what it is about.
    async fn step(&self, step: Step, session: i64) -> Result<(), Failure> {
        let witness = Witness::begin(self, step, session);
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        self.state().threads.entry(step).or_default().insert(thread);
        let result = match self.behaviour(step) {
            Behaviour::Ok => Ok(()),
            Behaviour::Error(kind) => Err(Failure::new(kind, "as scripted")),
            Behaviour::Lost(kind) => Err(Failure::new(kind, "as scripted").lost()),
            Behaviour::Slow => match self.released(step, session).await {
                true => Ok(()),
                false => Err(Failure::new(FailureKind::Cancelled, "cancelled")),
            },
            Behaviour::Never => future::pending().await,
            Behaviour::Panic => {
                witness.end(Outcome::Panicked);
                panic!("as scripted: {step:?}");
            }
        };
        witness.end(result.as_ref().map_or_else(|failure| Outcome::Failed(failure.kind), |()| Outcome::Ok));
        result
    }

    /// The session ends, unless nothing can end it.
    fn unlist(&self, session: i64) {
        let mut state = self.state();
        if !state.immortal {
            state.listed.remove(&session);
        }
    }
}

impl Driver for Script {
    fn engine(&self) -> Engine {
        self.state().engine
    }

    fn address(&self) -> Option<String> {
        self.state().address.clone()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, Failure>> {
        async {
            self.step(Step::Connect, 0).await?;
            let id = {
                let mut state = self.state();
                state.last_session += 1;
                let id = state.last_session;
                state.listed.insert(id);
                state.peak = state.peak.max(state.listed.len());
                id
            };
            let session = Session { id, started: format!("start of {id}").into() };
            Ok(Box::new(Scripted { script: self.clone(), session, cursors: HashMap::new(), closed: false })
                as Box<dyn Connection>)
        }
        .boxed()
    }

    fn control(&self) -> BoxFuture<'_, Result<Box<dyn Control>, Failure>> {
        async {
            self.step(Step::Control, 0).await?;
            Ok(Box::new(ScriptedControl(self.clone())) as Box<dyn Control>)
        }
        .boxed()
    }
}

/// One scripted session.
#[derive(Debug)]
struct Scripted {
    script: Script,
    session: Session,
    /// Batches that each open cursor still has.
    cursors: HashMap<u32, u32>,
    closed: bool,
}

impl Scripted {
    fn answer(&mut self, operation: &Operation) -> Result<Answer, Failure> {
        let id = self.session.id;
        match operation {
            Operation::Query(..) => return Ok(Answer::Rows(Rows { columns: one_column(), batch: one_row() })),
            Operation::Execute(_) => return Ok(Answer::Executed(Execution { rows_affected: 1, last_insert_id: None })),
            Operation::ExecuteMany(_, lists) => {
                return Ok(Answer::Executed(Execution { rows_affected: lists.len() as u64, last_insert_id: None }));
            }
            Operation::Begin(_) => {
                self.script.state().in_transaction.insert(id);
            }
            Operation::Commit | Operation::Rollback => {
                self.script.state().in_transaction.remove(&id);
                self.cursors.clear();
            }
            Operation::OpenCursor(cursor, source) => {
                let batches = self.script.state().batches;
                self.cursors.insert(*cursor, batches);
                return Ok(match source {
                    Source::Statement(_) => Answer::Columns(one_column()),
                    Source::Documents(_) => Answer::Done,
                });
            }
            Operation::Fetch(cursor, _) => {
                let Some(left) = self.cursors.get_mut(cursor) else {
                    return Err(Failure::new(FailureKind::Invalid, "no such cursor"));
                };
                let is_left = *left > 0;
                *left = left.saturating_sub(1);
                let engine = self.script.state().engine;
                return Ok(match engine {
                    Engine::Mongodb => Answer::Documents(Reply::Next(is_left.then(one_document))),
                    _ => Answer::Batch(is_left.then(one_row)),
                });
            }
            Operation::CloseCursor(cursor) => {
                self.cursors.remove(cursor);
            }
            Operation::Documents(request, _) => return Ok(Answer::Documents(reply(request))),
            Operation::Savepoint(_) | Operation::RollbackTo(_) | Operation::Release(_) => {}
        }
        Ok(Answer::Done)
    }
}

/// One of everything, as if one document were there.
fn reply(request: &Request) -> Reply {
    let done = WriteOutcome { inserted: 0, matched: 0, modified: 0, deleted: 0, upserted: Vec::new() };
    match request {
        Request::ListCollections(_) | Request::Find(..) | Request::Aggregate(..) | Request::ListIndexes(_) => {
            Reply::Batch(one_document())
        }
        Request::FindOne(..) | Request::Distinct(..) | Request::FindAndModify(..) => {
            Reply::Document(Some(one_document().documents))
        }
        Request::Count(..) | Request::EstimatedCount(_) => Reply::Count(1),
        Request::Insert(..) | Request::BulkWrite(..) => Reply::Written(WriteOutcome { inserted: 1, ..done }),
        Request::Update(..) | Request::Replace(..) => Reply::Written(WriteOutcome { matched: 1, modified: 1, ..done }),
        Request::Delete(..) => Reply::Written(WriteOutcome { deleted: 1, ..done }),
        Request::CreateIndexes(_, indexes) => Reply::Names(indexes.iter().map(|index| index.name.clone()).collect()),
        Request::DropIndex(..) => Reply::Done,
    }
}

/// Without a field.
fn one_document() -> documents::Batch {
    documents::Batch { count: 1, documents: vec![5, 0, 0, 0, 0] }
}

fn one_column() -> Vec<ColumnInfo> {
    vec![ColumnInfo { name: "n".to_owned(), type_name: "int8".to_owned() }]
}

fn one_row() -> Batch {
    columns::batch(1, vec![Column { data: ColumnData::Cells(Cells::Signed(vec![1])), nulls: Vec::new() }])
}

impl Connection for Scripted {
    fn session(&self) -> &Session {
        &self.session
    }

    fn run(&mut self, operation: Operation) -> BoxFuture<'_, Result<Answer, Failure>> {
        async move {
            // A cancel that came when nothing ran does nothing, as with a server that has seen the statement end.
            self.script.state().cancelled.remove(&self.session.id);
            self.script.step(Step::Run(Kind::of(&operation)), self.session.id).await?;
            self.answer(&operation)
        }
        .boxed()
    }

    fn needs_reset(&self) -> bool {
        self.script.state().needs_reset
    }

    fn reset(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        async {
            self.script.step(Step::Reset, self.session.id).await?;
            self.script.state().in_transaction.remove(&self.session.id);
            self.cursors.clear();
            Ok(())
        }
        .boxed()
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        self.script.step(Step::Ping, self.session.id).boxed()
    }

    fn close(mut self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        async move {
            self.script.step(Step::Close, self.session.id).await?;
            self.closed = true;
            self.script.unlist(self.session.id);
            Ok(())
        }
        .boxed()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        self.script.note(Event::Dropped(self.session.id));
        if !self.script.state().lingering {
            self.script.unlist(self.session.id);
        }
    }
}

/// The scripted control path.
#[derive(Debug)]
struct ScriptedControl(Script);

impl Control for ScriptedControl {
    fn cancel<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        async {
            self.0.step(Step::Cancel, session.id).await?;
            {
                let mut state = self.0.state();
                if state.deaf > 0 {
                    state.deaf -= 1;
                    return Ok(());
                }
                state.cancelled.insert(session.id);
            }
            self.0.wake();
            Ok(())
        }
        .boxed()
    }

    fn terminate<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        async {
            self.0.step(Step::Terminate, session.id).await?;
            self.0.unlist(session.id);
            Ok(())
        }
        .boxed()
    }

    fn is_listed<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<bool, Failure>> {
        async {
            self.0.step(Step::IsListed, session.id).await?;
            Ok(self.0.state().listed.contains(&session.id))
        }
        .boxed()
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        self.0.step(Step::ControlPing, 0).boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        // Whatever it comes to, the path is gone.
        async move { drop(self.0.step(Step::ControlClose, 0).await) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use wharf::driver::{Statement, TransactionOptions};

    use super::*;

    const QUERY: Step = Step::Run(Kind::Query);

    fn query() -> Operation {
        Operation::Query(Statement::default(), wharf::driver::ResultLimit { rows: 1, bytes: 1 })
    }

    #[tokio::test]
    async fn steps_go_as_scripted_and_are_written_down() {
        let script = Script::new();
        script.once(Step::Connect, Behaviour::Error(FailureKind::Denied));
        script.always(Step::Ping, Behaviour::Lost(FailureKind::Disconnected));
        assert_eq!(script.connect().await.err().map(|failure| failure.kind), Some(FailureKind::Denied));
        let mut connection = script.connect().await.unwrap();
        assert!(matches!(connection.run(query()).await, Ok(Answer::Rows(_))));
        assert!(connection.ping().await.unwrap_err().lost && connection.ping().await.unwrap_err().lost);
        connection.close().await.unwrap();
        let expected = [
            (Step::Connect, 0, Outcome::Failed(FailureKind::Denied)),
            (Step::Connect, 0, Outcome::Ok),
            (QUERY, 1, Outcome::Ok),
            (Step::Ping, 1, Outcome::Failed(FailureKind::Disconnected)),
            (Step::Ping, 1, Outcome::Failed(FailureKind::Disconnected)),
            (Step::Close, 1, Outcome::Ok),
        ];
        let events: Vec<Event> = expected
            .iter()
            .flat_map(|(step, id, outcome)| [Event::Began(*step, *id), Event::Ended(*step, *id, *outcome)])
            .collect();
        assert_eq!(script.events(), events);
        assert_eq!((script.listed(), script.peak()), (0, 1));
    }

    #[tokio::test]
    async fn a_slow_operation_ends_by_release_or_by_cancel_and_one_that_never_ends_by_neither() {
        let script = Script::new();
        script.always(QUERY, Behaviour::Slow);
        let mut connection = script.connect().await.unwrap();
        let mut control = script.control().await.unwrap();
        let session = connection.session().clone();

        // Too early a cancel does nothing.
        control.cancel(&session).await.unwrap();
        let mut running = connection.run(query());
        assert!(futures::poll!(&mut running).is_pending());
        script.release(QUERY);
        assert!(running.await.is_ok());

        let mut running = connection.run(query());
        assert!(futures::poll!(&mut running).is_pending());
        control.cancel(&session).await.unwrap();
        assert_eq!(running.await.unwrap_err().kind, FailureKind::Cancelled);

        script.once(QUERY, Behaviour::Never);
        let mut running = connection.run(query());
        assert!(futures::poll!(&mut running).is_pending());
        script.release(QUERY);
        control.cancel(&session).await.unwrap();
        assert!(futures::poll!(&mut running).is_pending());
        drop(running);
        assert_eq!(script.events().last(), Some(&Event::Abandoned(QUERY, 1)));
    }

    #[tokio::test]
    async fn sessions_are_listed_until_they_are_closed_dropped_or_terminated() {
        let script = Script::new();
        let connections = [script.connect().await.unwrap(), script.connect().await.unwrap(), script.connect().await.unwrap()];
        let mut control = script.control().await.unwrap();
        let sessions = connections.each_ref().map(|connection| connection.session().clone());
        assert_eq!((script.listed(), script.peak()), (3, 3));
        let [one, two, three] = connections;
        drop(one);
        assert!(!control.is_listed(&sessions[0]).await.unwrap());
        script.linger(true);
        drop(two);
        assert!(control.is_listed(&sessions[1]).await.unwrap());
        control.terminate(&sessions[1]).await.unwrap();
        assert!(!control.is_listed(&sessions[1]).await.unwrap());
        script.immortal(true);
        three.close().await.unwrap();
        control.terminate(&sessions[2]).await.unwrap();
        assert_eq!(script.listed(), 1);
        script.immortal(false);
        control.terminate(&sessions[2]).await.unwrap();
        assert_eq!((script.listed(), script.peak()), (0, 3));
        assert_eq!(script.count(|event| matches!(event, Event::Dropped(_))), 2);
    }

    #[tokio::test]
    async fn transactions_and_cursors_have_an_end() {
        let script = Script::new();
        let mut connection = script.connect().await.unwrap();
        connection.run(Operation::Begin(TransactionOptions { isolation: None, read_only: false }.into())).await.unwrap();
        assert_eq!(script.in_transaction(), 1);
        connection.run(Operation::OpenCursor(7, Statement::default().into())).await.unwrap();
        let fetch = || Operation::Fetch(7, wharf::driver::ResultLimit { rows: 1, bytes: 1 });
        for some in [true, true, false, false] {
            assert!(matches!(connection.run(fetch()).await, Ok(Answer::Batch(batch)) if batch.is_some() == some));
        }
        connection.reset().await.unwrap();
        assert_eq!(script.in_transaction(), 0);
        assert_eq!(connection.run(fetch()).await.unwrap_err().kind, FailureKind::Invalid);
    }

    #[tokio::test]
    async fn a_server_that_is_down_refuses_everything_and_one_that_is_calm_nothing() {
        let script = Script::new();
        script.always(QUERY, Behaviour::Slow);
        let mut connection = script.connect().await.unwrap();
        let seen = script.events().len();
        script.refuse(true);
        assert!(connection.run(query()).await.unwrap_err().lost && script.connect().await.is_err());
        assert_eq!(script.since(seen).await, script.events()[seen..]);
        script.refuse(false);
        let mut running = connection.run(query());
        assert!(futures::poll!(&mut running).is_pending());
        script.once(QUERY, Behaviour::Never);
        script.calm();
        assert!(running.await.is_ok() && connection.run(query()).await.is_ok());
    }

    #[tokio::test]
    async fn a_scripted_panic_is_one() {
        let script = Script::new();
        script.once(Step::Reset, Behaviour::Panic);
        let mut connection = script.connect().await.unwrap();
        let panicked = std::panic::AssertUnwindSafe(connection.reset()).catch_unwind().await;
        assert!(panicked.is_err());
        assert_eq!(script.events().last(), Some(&Event::Ended(Step::Reset, 1, Outcome::Panicked)));
    }
}

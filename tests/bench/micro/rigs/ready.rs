//! A driver that has every answer ready, so that what is measured is the pool. The scripted driver of the tests writes down what
//! happens, which would cost more than what is measured.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use futures::{FutureExt, future::BoxFuture};
use wharf::driver::{
    Answer, ColumnInfo, Connection, Control, Driver, Engine, Failure, Operation, Rows, Session, columns,
    types::{Cells, Column, ColumnData},
};

/// Every query has one row of one number, and nothing has to be reset.
#[derive(Debug, Default)]
pub(super) struct Ready {
    sessions: AtomicI64,
}

impl Driver for Ready {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, Failure>> {
        let id = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let session = Session { id, started: Arc::from("") };
        async { Ok(Box::new(ReadyConnection(session)) as Box<dyn Connection>) }.boxed()
    }

    fn control(&self) -> BoxFuture<'_, Result<Box<dyn Control>, Failure>> {
        async { Ok(Box::new(ReadyControl) as Box<dyn Control>) }.boxed()
    }
}

struct ReadyConnection(Session);

impl Connection for ReadyConnection {
    fn session(&self) -> &Session {
        &self.0
    }

    fn run(&mut self, operation: Operation) -> BoxFuture<'_, Result<Answer, Failure>> {
        let answer = match operation {
            Operation::Query(..) => Answer::Rows(one_row()),
            _ => Answer::Done,
        };
        async { Ok(answer) }.boxed()
    }

    fn needs_reset(&self) -> bool {
        false
    }

    fn reset(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        async { Ok(()) }.boxed()
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        async { Ok(()) }.boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        async { Ok(()) }.boxed()
    }
}

fn one_row() -> Rows {
    let column = Column { data: ColumnData::Cells(Cells::Signed(vec![1])), nulls: Vec::new() };
    let info = ColumnInfo { name: "n".to_owned(), type_name: "int8".to_owned() };
    Rows { columns: vec![info], batch: columns::batch(1, vec![column]) }
}

struct ReadyControl;

impl Control for ReadyControl {
    fn cancel<'a>(&'a mut self, _session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        async { Ok(()) }.boxed()
    }

    fn terminate<'a>(&'a mut self, _session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        async { Ok(()) }.boxed()
    }

    fn is_listed<'a>(&'a mut self, _session: &'a Session) -> BoxFuture<'a, Result<bool, Failure>> {
        async { Ok(false) }.boxed()
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        async { Ok(()) }.boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}

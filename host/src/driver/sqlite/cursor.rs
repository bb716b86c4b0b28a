//! A cursor: a future that owns the connection while the rows are read in batches, and gives it back when the cursor is closed.

use std::{future::poll_fn, sync::Arc, task::Poll};

use futures::{FutureExt, future::BoxFuture};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use tokio::sync::mpsc;

use super::{
    failure,
    rows::{Rows, abandon},
    shared::Shared,
    statement::Description,
};
use crate::driver::{Batch, Failure, ResultLimit};

type Answer = Result<Option<Batch>, Failure>;

/// sqlx's rows borrow the connection, so the two live in one future. It only moves while someone fetches: nothing is spawned, and
/// dropping the cursor drops the connection.
pub(super) struct Cursor {
    number: u32,
    requests: mpsc::Sender<ResultLimit>,
    answers: mpsc::Receiver<Answer>,
    reader: BoxFuture<'static, SqliteConnection>,
}

impl Cursor {
    pub(super) fn open(
        number: u32,
        connection: SqliteConnection,
        shared: Arc<Shared>,
        sql: Arc<str>,
        arguments: SqliteArguments,
        description: Arc<Description>,
    ) -> Self {
        let (requests, asked) = mpsc::channel(1);
        let (answering, answers) = mpsc::channel(1);
        let reader = read(connection, shared, sql, arguments, description, asked, answering).boxed();
        Self { number, requests, answers, reader }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The next batch. After an error only [`Cursor::close`] is of use.
    pub(super) async fn fetch(&mut self, limit: ResultLimit) -> Answer {
        // There is room: every request is answered before the next.
        if self.requests.try_send(limit).is_err() {
            return Err(failure::gone());
        }
        let Self { answers, reader, .. } = self;
        poll_fn(|context| {
            // The reader ends only when `requests` is dropped, so it is not polled again after its end.
            let pending = reader.as_mut().poll(context).is_pending();
            match answers.poll_recv(context) {
                Poll::Pending if pending => Poll::Pending,
                Poll::Ready(Some(answer)) => Poll::Ready(answer),
                _ => Poll::Ready(Err(failure::gone())),
            }
        })
        .await
    }

    /// Ends the statement and gives the connection back.
    pub(super) async fn close(self) -> SqliteConnection {
        drop(self.requests);
        self.reader.await
    }
}

async fn read(
    mut connection: SqliteConnection,
    shared: Arc<Shared>,
    sql: Arc<str>,
    arguments: SqliteArguments,
    description: Arc<Description>,
    mut asked: mpsc::Receiver<ResultLimit>,
    answering: mpsc::Sender<Answer>,
) -> SqliteConnection {
    // Not kept: a cursor lasts long, and its statement is compiled afresh so that its columns are those of its description.
    let mut rows = Rows::of(&mut connection, &shared, &sql, arguments, &description, false);
    let mut begun = false;
    while let Some(limit) = asked.recv().await {
        begun = true;
        let answer = rows.some(limit).await;
        if answering.send(answer).await.is_err() {
            break;
        }
    }
    let ended = rows.ended();
    drop(rows);
    if begun && !ended {
        // If this fails the worker is gone, which the next operation is told.
        let _ = abandon(&mut connection, &shared).await;
    }
    connection
}

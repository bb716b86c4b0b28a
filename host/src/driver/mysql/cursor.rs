//! A cursor: a future that owns the connection while the rows are read in batches, and gives it back when the cursor is closed.

use std::{future::poll_fn, sync::Arc, task::Poll};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, Either, Executor, Row,
    mysql::{MySqlArguments, MySqlConnection, MySqlQueryResult, MySqlRow},
};
use tokio::sync::mpsc;

use super::{decode::Filling, error, statement::second_result, types::Columns};
use crate::driver::{Batch, Failure, FailureKind, ResultLimit};

/// Rows that are read and thrown away when a cursor is closed before its end; with more, the connection is given up.
const MAX_DRAINED_ROWS: usize = 1000;
/// The bytes of those rows, about.
const MAX_DRAINED_BYTES: usize = 1 << 20;

type Answer = Result<Option<Batch>, Failure>;

/// sqlx's rows borrow the connection, so the two live in one future. It only moves while someone fetches: nothing is spawned, and
/// dropping the cursor drops the connection.
pub(super) struct Cursor {
    number: u32,
    requests: mpsc::Sender<ResultLimit>,
    answers: mpsc::Receiver<Answer>,
    reader: BoxFuture<'static, Option<MySqlConnection>>,
}

impl Cursor {
    /// Nothing is sent before the first fetch.
    pub(super) fn open(
        number: u32,
        connection: MySqlConnection,
        sql: Arc<str>,
        arguments: MySqlArguments,
        columns: Columns,
    ) -> Self {
        let (requests, asked) = mpsc::channel(1);
        let (answering, answers) = mpsc::channel(1);
        let reader = read(connection, sql, arguments, columns, asked, answering).boxed();
        Self { number, requests, answers, reader }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The next batch. After an error only [`Cursor::close`] is of use.
    pub(super) async fn fetch(&mut self, limit: ResultLimit) -> Answer {
        // There is room: every request is answered before the next.
        if self.requests.try_send(limit).is_err() {
            return Err(gone());
        }
        let Self { answers, reader, .. } = self;
        poll_fn(|context| {
            // The reader ends only when `requests` is dropped, so it is not polled again after its end.
            let pending = reader.as_mut().poll(context).is_pending();
            match answers.poll_recv(context) {
                Poll::Pending if pending => Poll::Pending,
                Poll::Ready(Some(answer)) => Poll::Ready(answer),
                _ => Poll::Ready(Err(gone())),
            }
        })
        .await
    }

    /// Gives the connection back, unless more rows are on their way than are worth waiting for.
    pub(super) async fn close(self) -> Option<MySqlConnection> {
        drop(self.requests);
        self.reader.await
    }
}

fn gone() -> Failure {
    Failure::new(FailureKind::Disconnected, "the connection was given up").lost()
}

/// A result whose rows come one by one.
struct Reading<'c> {
    rows: BoxStream<'c, Result<Either<MySqlQueryResult, MySqlRow>, sqlx::Error>>,
    /// Read, but too large for the batch before.
    held: Option<MySqlRow>,
    columns: Columns,
    /// The server has sent all, or an error, after which it is ready for the next statement.
    ended: bool,
    lost: bool,
}

async fn read(
    mut connection: MySqlConnection,
    sql: Arc<str>,
    arguments: MySqlArguments,
    columns: Columns,
    mut asked: mpsc::Receiver<ResultLimit>,
    answering: mpsc::Sender<Answer>,
) -> Option<MySqlConnection> {
    let rows = (&mut connection).fetch_many(sqlx::query_with(AssertSqlSafe(sql), arguments));
    let mut reading = Reading { rows, held: None, columns, ended: false, lost: false };
    let mut begun = false;
    while let Some(limit) = asked.recv().await {
        begun = true;
        let answer = reading.some(limit).await;
        if answering.send(answer).await.is_err() {
            break;
        }
    }
    let whole = !begun || reading.drain().await;
    drop(reading);
    whole.then_some(connection)
}

/// About what a row takes in columns, before it is put there.
fn wire_bytes(row: &MySqlRow) -> usize {
    let bytes = |index| row.try_get_raw(index).ok().and_then(|value| <&[u8] as sqlx::Decode<sqlx::MySql>>::decode(value).ok());
    (0..row.len()).map(|index| bytes(index).map_or(8, <[u8]>::len)).sum()
}

impl Reading<'_> {
    /// The next row, or the end of the result.
    async fn next(&mut self) -> Result<Option<MySqlRow>, Failure> {
        if let Some(row) = self.held.take() {
            return Ok(Some(row));
        }
        while !self.ended {
            match self.rows.next().await {
                Some(Ok(Either::Right(row))) => return Ok(Some(row)),
                Some(Ok(Either::Left(_))) => {}
                Some(Err(error)) => {
                    self.ended = true;
                    let failure = error::failure(error);
                    self.lost = failure.lost;
                    return Err(failure);
                }
                None => self.ended = true,
            }
        }
        Ok(None)
    }

    async fn some(&mut self, limit: ResultLimit) -> Answer {
        let mut filling = Filling::new(std::mem::take(&mut self.columns));
        let wanted = (limit.rows as usize).max(1);
        while filling.rows() < wanted {
            let Some(row) = self.next().await? else { break };
            if filling.rows() > 0 && filling.bytes() + wire_bytes(&row) > limit.bytes {
                self.held = Some(row);
                break;
            }
            if !filling.fits(row.columns()) {
                return Err(second_result());
            }
            filling.push(&row)?;
        }
        let rows = filling.rows();
        let (columns, batch) = filling.finish();
        self.columns = columns;
        Ok((rows > 0).then_some(batch))
    }

    /// Reads what is left, within bounds; whether the connection is ready for the next statement.
    async fn drain(&mut self) -> bool {
        let (mut rows, mut bytes) = (0, 0);
        while !self.ended && rows < MAX_DRAINED_ROWS && bytes < MAX_DRAINED_BYTES {
            if let Ok(Some(row)) = self.next().await {
                rows += 1;
                bytes += wire_bytes(&row);
            }
        }
        self.ended && !self.lost
    }
}

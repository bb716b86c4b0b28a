//! `wharf:sql-async`: async functions and streams for the guest. No operation holds the Store while it waits.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::future::BoxFuture;
use tokio::sync::oneshot;
use wasmtime::{
    StoreContextMut,
    component::{Access, Accessor, Destination, FutureReader, Resource, StreamProducer, StreamReader, StreamResult},
};

use super::{
    Answer, Connection, Cursor, Database, Sql, SqlView, Transaction, answer,
    bindings::concurrent::wharf::sql_async::database::{
        Host, HostConnection, HostConnectionWithStore, HostCursor, HostCursorWithStore, HostDatabase, HostDatabaseWithStore,
        HostTransaction, HostTransactionWithStore,
    },
    dialect, statement,
};
use crate::{
    driver::{
        Batch, ColumnInfo, Execution, Rows, TransactionOptions, Value,
        types::{self, Engine},
    },
    lease,
};

impl Host for SqlView<'_> {}

/// What a handle stands for, to be used without the Store.
fn get<T: 'static, H: Clone + Send + 'static>(accessor: &Accessor<T, Sql>, this: &Resource<H>) -> wasmtime::Result<H> {
    accessor.with(|mut access| Ok(access.get().table.get(this)?.clone()))
}

/// Puts what an operation opened into the table.
fn push<T: 'static, H: Send + Sync + 'static>(
    accessor: &Accessor<T, Sql>,
    opened: Result<H, lease::Error>,
) -> Answer<Resource<Arc<H>>> {
    accessor.with(|mut access| access.get().push(opened))
}

impl HostDatabase for SqlView<'_> {
    fn open(&mut self, name: String) -> Answer<Resource<Database>> {
        Self::open(self, &name)
    }

    fn engine(&mut self, this: Resource<Database>) -> wasmtime::Result<Engine> {
        dialect(self.table.get(&this)?)
    }

    fn drop(&mut self, this: Resource<Database>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostDatabaseWithStore<T> for Sql {
    async fn query(accessor: &Accessor<T, Self>, this: Resource<Database>, sql: String, params: Vec<Value>) -> Answer<Rows> {
        answer(get(accessor, &this)?.query(statement(sql, params)).await)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        this: Resource<Database>,
        sql: String,
        params: Vec<Value>,
    ) -> Answer<Execution> {
        answer(get(accessor, &this)?.execute(statement(sql, params)).await)
    }

    async fn execute_many(
        accessor: &Accessor<T, Self>,
        this: Resource<Database>,
        sql: String,
        params: Vec<Vec<Value>>,
    ) -> Answer<Execution> {
        answer(get(accessor, &this)?.execute_many(sql.into(), params).await)
    }

    async fn begin(
        accessor: &Accessor<T, Self>,
        this: Resource<Database>,
        options: TransactionOptions,
    ) -> Answer<Resource<Transaction>> {
        let opened = get(accessor, &this)?.begin(options).await;
        push(accessor, opened)
    }

    async fn connect(accessor: &Accessor<T, Self>, this: Resource<Database>) -> Answer<Resource<Connection>> {
        let opened = get(accessor, &this)?.connect().await;
        push(accessor, opened)
    }

    async fn cursor(
        accessor: &Accessor<T, Self>,
        this: Resource<Database>,
        sql: String,
        params: Vec<Value>,
    ) -> Answer<Resource<Cursor>> {
        let opened = get(accessor, &this)?.cursor(statement(sql, params)).await;
        push(accessor, opened)
    }
}

impl HostConnection for SqlView<'_> {
    fn drop(&mut self, this: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostConnectionWithStore<T> for Sql {
    async fn query(accessor: &Accessor<T, Self>, this: Resource<Connection>, sql: String, params: Vec<Value>) -> Answer<Rows> {
        answer(get(accessor, &this)?.query(statement(sql, params)).await)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        sql: String,
        params: Vec<Value>,
    ) -> Answer<Execution> {
        answer(get(accessor, &this)?.execute(statement(sql, params)).await)
    }

    async fn execute_many(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        sql: String,
        params: Vec<Vec<Value>>,
    ) -> Answer<Execution> {
        answer(get(accessor, &this)?.execute_many(sql.into(), params).await)
    }

    async fn begin(
        accessor: &Accessor<T, Self>,
        this: Resource<Connection>,
        options: TransactionOptions,
    ) -> Answer<Resource<Transaction>> {
        let opened = get(accessor, &this)?.begin(options).await;
        push(accessor, opened)
    }

    async fn close(accessor: &Accessor<T, Self>, this: Resource<Connection>) -> Answer<()> {
        answer(get(accessor, &this)?.close())
    }
}

impl HostTransaction for SqlView<'_> {
    fn drop(&mut self, this: Resource<Transaction>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostTransactionWithStore<T> for Sql {
    async fn query(accessor: &Accessor<T, Self>, this: Resource<Transaction>, sql: String, params: Vec<Value>) -> Answer<Rows> {
        answer(get(accessor, &this)?.query(statement(sql, params)).await)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        this: Resource<Transaction>,
        sql: String,
        params: Vec<Value>,
    ) -> Answer<Execution> {
        answer(get(accessor, &this)?.execute(statement(sql, params)).await)
    }

    async fn execute_many(
        accessor: &Accessor<T, Self>,
        this: Resource<Transaction>,
        sql: String,
        params: Vec<Vec<Value>>,
    ) -> Answer<Execution> {
        answer(get(accessor, &this)?.execute_many(sql.into(), params).await)
    }

    async fn cursor(
        accessor: &Accessor<T, Self>,
        this: Resource<Transaction>,
        sql: String,
        params: Vec<Value>,
    ) -> Answer<Resource<Cursor>> {
        let opened = get(accessor, &this)?.cursor(statement(sql, params)).await;
        push(accessor, opened)
    }

    async fn savepoint(accessor: &Accessor<T, Self>, this: Resource<Transaction>, name: String) -> Answer<()> {
        answer(get(accessor, &this)?.savepoint(&name).await)
    }

    async fn rollback_to(accessor: &Accessor<T, Self>, this: Resource<Transaction>, name: String) -> Answer<()> {
        answer(get(accessor, &this)?.rollback_to(&name).await)
    }

    async fn release(accessor: &Accessor<T, Self>, this: Resource<Transaction>, name: String) -> Answer<()> {
        answer(get(accessor, &this)?.release(&name).await)
    }

    async fn commit(accessor: &Accessor<T, Self>, this: Resource<Transaction>) -> Answer<()> {
        answer(get(accessor, &this)?.commit().await)
    }

    async fn rollback(accessor: &Accessor<T, Self>, this: Resource<Transaction>) -> Answer<()> {
        answer(get(accessor, &this)?.rollback().await)
    }
}

impl HostCursor for SqlView<'_> {
    fn columns(&mut self, this: Resource<Cursor>) -> wasmtime::Result<Vec<ColumnInfo>> {
        Ok(self.table.get(&this)?.columns().to_vec())
    }

    fn drop(&mut self, this: Resource<Cursor>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostCursorWithStore<T> for Sql {
    async fn next(accessor: &Accessor<T, Self>, this: Resource<Cursor>, max_rows: u32) -> Answer<Option<Batch>> {
        answer(get(accessor, &this)?.next(max_rows).await)
    }

    fn batches(
        mut host: Access<T, Self>,
        this: Resource<Cursor>,
        max_rows: u32,
    ) -> Answer<(StreamReader<Batch>, FutureReader<Result<(), types::Error>>)> {
        let cursor = Arc::clone(host.get().table.get(&this)?);
        if let Err(error) = cursor.take_stream() {
            return Ok(Err(error.into()));
        }
        let (outcome, outcome_reader) = oneshot::channel();
        let producer = Batches { cursor, max_rows, fetching: None, outcome: Some(outcome) };
        let stream = StreamReader::new(&mut host, producer)?;
        // A stream that was dropped before its end was not read to the end, but nothing failed either.
        let outcome = FutureReader::new(&mut host, async move { wasmtime::error::Ok(outcome_reader.await.unwrap_or(Ok(()))) })?;
        Ok(Ok((stream, outcome)))
    }

    async fn close(accessor: &Accessor<T, Self>, this: Resource<Cursor>) -> Answer<()> {
        answer(get(accessor, &this)?.close().await)
    }
}

type Fetching = BoxFuture<'static, Result<Option<Batch>, lease::Error>>;

/// Feeds a stream from a cursor, a batch a read.
struct Batches {
    cursor: Cursor,
    max_rows: u32,
    fetching: Option<Fetching>,
    /// Told once, at the end of the stream.
    outcome: Option<oneshot::Sender<Result<(), types::Error>>>,
}

impl<D> StreamProducer<D> for Batches {
    type Item = Batch;
    type Buffer = Option<Batch>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        _store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let this = self.get_mut();
        let (cursor, max_rows) = (&this.cursor, this.max_rows);
        let fetching = this.fetching.get_or_insert_with(|| {
            let cursor = Arc::clone(cursor);
            Box::pin(async move { cursor.next(max_rows).await })
        });
        let polled = fetching.as_mut().poll(context);
        if polled.is_pending() && finish {
            return Poll::Ready(Ok(StreamResult::Cancelled));
        }
        let fetched = ready!(polled);
        this.fetching = None;
        let outcome = match fetched {
            Ok(Some(batch)) => {
                destination.set_buffer(Some(batch));
                return Poll::Ready(Ok(StreamResult::Completed));
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Some(sender) = this.outcome.take() {
            // The guest may not care how it ended.
            let _ = sender.send(outcome);
        }
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.cursor.abandon();
    }
}

//! `wharf:sql-async`: async functions and streams for the guest. No operation holds the Store while it waits.

use std::sync::Arc;

use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};

use super::{
    Answer, Connection, Cursor, Database, Transaction,
    bindings::concurrent::wharf::sql_async::database::{
        Host, HostConnection, HostConnectionWithStore, HostCursor, HostCursorWithStore, HostDatabase, HostDatabaseWithStore,
        HostTransaction, HostTransactionWithStore,
    },
    dialect, open, statement,
};
use crate::{
    driver::{
        Batch, ColumnInfo, Execution, Rows, TransactionOptions, Value,
        types::{self, Engine},
    },
    interface::{Handles, View, answer, get, push, stream::batches},
};

impl Host for View<'_> {}

impl HostDatabase for View<'_> {
    fn open(&mut self, name: String) -> Answer<Resource<Database>> {
        open(self, &name)
    }

    fn engine(&mut self, this: Resource<Database>) -> wasmtime::Result<Engine> {
        dialect(self.table.get(&this)?)
    }

    fn drop(&mut self, this: Resource<Database>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostDatabaseWithStore<T> for Handles {
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

impl HostConnection for View<'_> {
    fn drop(&mut self, this: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostConnectionWithStore<T> for Handles {
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

impl HostTransaction for View<'_> {
    fn drop(&mut self, this: Resource<Transaction>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostTransactionWithStore<T> for Handles {
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

impl HostCursor for View<'_> {
    fn columns(&mut self, this: Resource<Cursor>) -> wasmtime::Result<Vec<ColumnInfo>> {
        Ok(self.table.get(&this)?.columns().to_vec())
    }

    fn drop(&mut self, this: Resource<Cursor>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostCursorWithStore<T> for Handles {
    async fn next(accessor: &Accessor<T, Self>, this: Resource<Cursor>, max_rows: u32) -> Answer<Option<Batch>> {
        answer(get(accessor, &this)?.next(max_rows).await)
    }

    fn batches(
        mut host: Access<T, Self>,
        this: Resource<Cursor>,
        max_rows: u32,
    ) -> Answer<(StreamReader<Batch>, FutureReader<Result<(), types::Error>>)> {
        let cursor = Arc::clone(host.get().table.get(&this)?);
        batches(host, cursor, max_rows)
    }

    async fn close(accessor: &Accessor<T, Self>, this: Resource<Cursor>) -> Answer<()> {
        answer(get(accessor, &this)?.close().await)
    }
}

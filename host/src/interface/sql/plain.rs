//! `wharf:sql`: plain functions for the guest, async on the host.

use wasmtime::component::Resource;

use super::{
    Answer, Connection, Cursor, Database, Transaction,
    bindings::plain::wharf::sql::database::{Host, HostConnection, HostCursor, HostDatabase, HostTransaction},
    dialect, open, statement,
};
use crate::{
    driver::{Batch, ColumnInfo, Execution, Rows, TransactionOptions, Value, types::Engine},
    interface::{View, answer},
};

impl Host for View<'_> {}

impl HostDatabase for View<'_> {
    fn open(&mut self, name: String) -> Answer<Resource<Database>> {
        open(self, &name)
    }

    fn engine(&mut self, this: Resource<Database>) -> wasmtime::Result<Engine> {
        dialect(self.table.get(&this)?)
    }

    async fn query(&mut self, this: Resource<Database>, sql: String, params: Vec<Value>) -> Answer<Rows> {
        answer(self.table.get(&this)?.query(statement(sql, params)).await)
    }

    async fn execute(&mut self, this: Resource<Database>, sql: String, params: Vec<Value>) -> Answer<Execution> {
        answer(self.table.get(&this)?.execute(statement(sql, params)).await)
    }

    async fn execute_many(&mut self, this: Resource<Database>, sql: String, params: Vec<Vec<Value>>) -> Answer<Execution> {
        answer(self.table.get(&this)?.execute_many(sql.into(), params).await)
    }

    async fn begin(&mut self, this: Resource<Database>, options: TransactionOptions) -> Answer<Resource<Transaction>> {
        let opened = self.table.get(&this)?.begin(options).await;
        self.push(opened)
    }

    async fn connect(&mut self, this: Resource<Database>) -> Answer<Resource<Connection>> {
        let opened = self.table.get(&this)?.connect().await;
        self.push(opened)
    }

    async fn cursor(&mut self, this: Resource<Database>, sql: String, params: Vec<Value>) -> Answer<Resource<Cursor>> {
        let opened = self.table.get(&this)?.cursor(statement(sql, params)).await;
        self.push(opened)
    }

    async fn drop(&mut self, this: Resource<Database>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostConnection for View<'_> {
    async fn query(&mut self, this: Resource<Connection>, sql: String, params: Vec<Value>) -> Answer<Rows> {
        answer(self.table.get(&this)?.query(statement(sql, params)).await)
    }

    async fn execute(&mut self, this: Resource<Connection>, sql: String, params: Vec<Value>) -> Answer<Execution> {
        answer(self.table.get(&this)?.execute(statement(sql, params)).await)
    }

    async fn execute_many(&mut self, this: Resource<Connection>, sql: String, params: Vec<Vec<Value>>) -> Answer<Execution> {
        answer(self.table.get(&this)?.execute_many(sql.into(), params).await)
    }

    async fn begin(&mut self, this: Resource<Connection>, options: TransactionOptions) -> Answer<Resource<Transaction>> {
        let opened = self.table.get(&this)?.begin(options).await;
        self.push(opened)
    }

    fn close(&mut self, this: Resource<Connection>) -> Answer<()> {
        answer(self.table.get(&this)?.close())
    }

    async fn drop(&mut self, this: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostTransaction for View<'_> {
    async fn query(&mut self, this: Resource<Transaction>, sql: String, params: Vec<Value>) -> Answer<Rows> {
        answer(self.table.get(&this)?.query(statement(sql, params)).await)
    }

    async fn execute(&mut self, this: Resource<Transaction>, sql: String, params: Vec<Value>) -> Answer<Execution> {
        answer(self.table.get(&this)?.execute(statement(sql, params)).await)
    }

    async fn execute_many(&mut self, this: Resource<Transaction>, sql: String, params: Vec<Vec<Value>>) -> Answer<Execution> {
        answer(self.table.get(&this)?.execute_many(sql.into(), params).await)
    }

    async fn cursor(&mut self, this: Resource<Transaction>, sql: String, params: Vec<Value>) -> Answer<Resource<Cursor>> {
        let opened = self.table.get(&this)?.cursor(statement(sql, params)).await;
        self.push(opened)
    }

    async fn savepoint(&mut self, this: Resource<Transaction>, name: String) -> Answer<()> {
        answer(self.table.get(&this)?.savepoint(&name).await)
    }

    async fn rollback_to(&mut self, this: Resource<Transaction>, name: String) -> Answer<()> {
        answer(self.table.get(&this)?.rollback_to(&name).await)
    }

    async fn release(&mut self, this: Resource<Transaction>, name: String) -> Answer<()> {
        answer(self.table.get(&this)?.release(&name).await)
    }

    async fn commit(&mut self, this: Resource<Transaction>) -> Answer<()> {
        answer(self.table.get(&this)?.commit().await)
    }

    async fn rollback(&mut self, this: Resource<Transaction>) -> Answer<()> {
        answer(self.table.get(&this)?.rollback().await)
    }

    async fn drop(&mut self, this: Resource<Transaction>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostCursor for View<'_> {
    fn columns(&mut self, this: Resource<Cursor>) -> wasmtime::Result<Vec<ColumnInfo>> {
        Ok(self.table.get(&this)?.columns().to_vec())
    }

    async fn next(&mut self, this: Resource<Cursor>, max_rows: u32) -> Answer<Option<Batch>> {
        answer(self.table.get(&this)?.next(max_rows).await)
    }

    async fn close(&mut self, this: Resource<Cursor>) -> Answer<()> {
        answer(self.table.get(&this)?.close().await)
    }

    async fn drop(&mut self, this: Resource<Cursor>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

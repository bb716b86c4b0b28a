//! Behaviour against a real server.

mod classifier;
mod connect;
mod cursors;
mod redact;
mod reset;
mod server;
mod statements;
mod values;

use std::sync::Arc;

use self::server::Fixture;
use super::Postgres;
use crate::driver::{
    Answer, Batch, Connection, Driver, Failure, FailureKind, Operation, ResultLimit, Rows, Statement, TransactionOptions, Value,
    columns::is_null,
    settings::Settings,
    types::{ColumnData, IsolationLevel},
};

const LIMIT: ResultLimit = ResultLimit { rows: 100_000, bytes: 64 << 20 };

fn statement(sql: &str, params: Vec<Value>) -> Statement {
    Statement { sql: sql.into(), params }
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

async fn query(connection: &mut dyn Connection, sql: &str, params: Vec<Value>) -> Result<Rows, Failure> {
    match connection.run(Operation::Query(statement(sql, params), LIMIT)).await? {
        Answer::Rows(rows) => Ok(rows),
        other => panic!("{other:?}"),
    }
}

async fn execute(connection: &mut dyn Connection, sql: &str, params: Vec<Value>) -> Result<u64, Failure> {
    match connection.run(Operation::Execute(statement(sql, params))).await? {
        Answer::Executed(execution) => Ok(execution.rows_affected),
        other => panic!("{other:?}"),
    }
}

async fn begin(connection: &mut dyn Connection) {
    let options = TransactionOptions { isolation: None, read_only: false };
    connection.run(Operation::Begin(options.into())).await.unwrap();
}

/// A cell that is no array; null where the bitmap says so.
fn cell(batch: &Batch, column: usize, row: usize) -> Value {
    let column = &batch.columns[column];
    if is_null(&column.nulls, row) {
        return Value::Null;
    }
    match &column.data {
        ColumnData::Cells(cells) => cells.value(row),
        other => panic!("{other:?}"),
    }
}

/// The first cell of a query.
async fn one(connection: &mut dyn Connection, sql: &str, params: Vec<Value>) -> Value {
    let rows = query(connection, sql, params).await.unwrap_or_else(|failure| panic!("{sql}: {failure:?}"));
    cell(&rows.batch, 0, 0)
}

async fn connected(fixture: &Fixture) -> Box<dyn Connection> {
    Postgres::new(&fixture.url, Settings::default()).unwrap().connect().await.unwrap()
}

fn arc(sql: &str) -> Arc<str> {
    sql.into()
}

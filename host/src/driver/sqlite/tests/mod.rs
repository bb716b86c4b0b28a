//! The driver against real files, through its public door.

mod cancel;
mod cursors;
mod guard;
mod limits;
mod redact;
mod statements;
mod transactions;
mod types;

use tempfile::TempDir;

use super::*;
use crate::driver::{Answer, Operation, ResultLimit, Rows, Statement, TransactionOptions, Value, types::Execution};

const PLENTY: ResultLimit = ResultLimit { rows: 100_000, bytes: 64 * 1024 * 1024 };

/// Never returns a row and never ends.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

/// A folder with one database.
struct File {
    folder: TempDir,
}

impl File {
    /// With the tables that most tests use.
    async fn new() -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        let mut session = file.driver(Access::ReadWrite).create_if_missing().connect().await.unwrap();
        for sql in [
            "CREATE TABLE patients (id INTEGER PRIMARY KEY, record_number TEXT NOT NULL UNIQUE, name TEXT, born DATE)",
            "CREATE TABLE visits (id INTEGER PRIMARY KEY, patient INTEGER NOT NULL REFERENCES patients (id), \
             minutes INTEGER CONSTRAINT positive_minutes CHECK (minutes > 0))",
        ] {
            execute(&mut session, sql, []).await.unwrap();
        }
        session.close().await.unwrap();
        file
    }

    fn settings(access: Access) -> Settings {
        Settings { access, busy_timeout: Duration::from_millis(100), ..Settings::default() }
    }

    fn driver(&self, access: Access) -> Sqlite {
        Sqlite::new(&self.url(), Self::settings(access)).unwrap()
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("clinic.db").display())
    }

    async fn writer(&self) -> Box<dyn Connection> {
        self.driver(Access::ReadWrite).connect().await.unwrap()
    }

    async fn reader(&self) -> Box<dyn Connection> {
        self.driver(Access::ReadOnly).connect().await.unwrap()
    }
}

fn statement<const N: usize>(sql: &str, params: [Value; N]) -> Statement {
    Statement { sql: sql.into(), params: params.into() }
}

async fn query<const N: usize>(session: &mut Box<dyn Connection>, sql: &str, params: [Value; N]) -> Result<Rows, Failure> {
    match session.run(Operation::Query(statement(sql, params), PLENTY)).await? {
        Answer::Rows(rows) => Ok(rows),
        other => panic!("rows, not {other:?}"),
    }
}

async fn execute<const N: usize>(session: &mut Box<dyn Connection>, sql: &str, params: [Value; N]) -> Result<Execution, Failure> {
    match session.run(Operation::Execute(statement(sql, params))).await? {
        Answer::Executed(execution) => Ok(execution),
        other => panic!("counts, not {other:?}"),
    }
}

/// The only number of the only row.
async fn number(session: &mut Box<dyn Connection>, sql: &str) -> i64 {
    let rows = query(session, sql, []).await.unwrap();
    match cell(&rows, 0, 0) {
        Value::Signed(number) => number,
        other => panic!("a number, not {other:?}"),
    }
}

/// A cell as a value, whatever its column is.
fn cell(rows: &Rows, column: usize, row: usize) -> Value {
    use crate::driver::{columns::is_null, types::ColumnData};
    let column = &rows.batch.columns[column];
    match &column.data {
        _ if is_null(&column.nulls, row) => Value::Null,
        ColumnData::Cells(cells) => cells.value(row),
        ColumnData::Mixed(values) => values[row].clone(),
        ColumnData::Arrays(_) => panic!("SQLite has no arrays"),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn begin(read_only: bool) -> Operation {
    Operation::Begin(TransactionOptions { isolation: None, read_only }.into())
}

/// Fills `patients` with so many rows.
async fn fill(session: &mut Box<dyn Connection>, count: i64) {
    let sql = "INSERT INTO patients (record_number, name) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) \
               SELECT 'r' || i, 'name ' || i FROM n";
    assert_eq!(execute(session, sql, [Value::Signed(count)]).await.unwrap().rows_affected, count.unsigned_abs());
}

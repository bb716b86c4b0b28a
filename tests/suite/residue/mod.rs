//! What a borrower may leave in a session, and that the next borrower finds nothing of it: pool and driver together, one connection.
//!
//! A row is a residue, a vehicle that brings it about (plain SQL, a function, a trigger) and a situation (alone, in a transaction that is
//! committed, in one that is left open). Each row says whether the connection should come back, so that a needless discard shows.

mod control;
mod mariadb;
mod mongodb;
mod postgres;
mod sqlite;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use wharf::{
    driver::{Answer, Driver, Failure, Operation, ResultLimit, Statement, TransactionOptions},
    pool::{
        Borrower, Counter, Database, Granted, Hold, HostCapacity, Limit, OperationError, PoolSpec, Quota, Settings, Until, Via,
    },
};

/// Longer than all bounds together.
const PATIENCE: Duration = Duration::from_secs(30);

/// A pool with one connection.
struct Bed {
    database: Database,
    grant: Arc<Granted>,
}

/// What became of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It came back.
    Kept,
    /// It was closed, and another opened.
    Replaced,
}

/// How the borrower holds the connection, and how it lets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Situation {
    /// Without a transaction.
    Alone,
    /// In a transaction that is committed.
    Committed,
    /// In a transaction that is open when the connection is dropped.
    Dropped,
}

const SITUATIONS: [Situation; 3] = [Situation::Alone, Situation::Committed, Situation::Dropped];

const TRANSACTION: Via = Via::Transaction(1);

impl Bed {
    async fn new(driver: impl Driver, settings: Settings) -> Self {
        let settings = Settings { max_connections: 1, min_connections: 0, ..settings };
        let quota = Quota { pool: 0, max_connections: 1, reserved_connections: 0, max_transaction_time: PATIENCE };
        let pools = vec![PoolSpec { driver: Arc::new(driver), shares_control_of: None }];
        let (database, grants) = Database::new("residue", settings, pools, vec![quota], Arc::new(HostCapacity::new(1)));
        database.start(true).await.unwrap();
        Self { database, grant: Arc::clone(&grants[0]) }
    }

    /// Waits until the one connection is free, which it is only once it is clean or another.
    async fn borrow_it(&self) -> Hold {
        let borrower = Borrower { plugin: "plugin".into(), request_id: "request".into(), trail: None };
        self.database.acquire(&self.grant, borrower, Instant::now() + PATIENCE).await.unwrap()
    }

    fn opened(&self) -> u64 {
        self.database.counters().get(Counter::Connected)
    }

    /// What a borrower that comes now sees.
    async fn seen(&self, probe: &str) -> String {
        seen(&self.borrow_it().await, Via::Connection, probe).await
    }

    /// One borrower after the other: the first leaves something, and both tell what `probe` shows, the second also what became of the
    /// connection.
    async fn leave(&self, sql: &str, situation: Situation, probe: &str) -> Result<Left, String> {
        let hold = self.borrow_it().await;
        let opened = self.opened();
        let via = if situation == Situation::Alone { Via::Connection } else { TRANSACTION };
        if via == TRANSACTION {
            run(&hold, via, begin()).await.map_err(|error| format!("BEGIN: {error:?}"))?;
        }
        run(&hold, via, Operation::Query(statement(sql), LIMIT)).await.map_err(|error| format!("{sql}: {error:?}"))?;
        if situation == Situation::Committed {
            run(&hold, via, Operation::Commit).await.map_err(|error| format!("COMMIT: {error:?}"))?;
        }
        let own = match situation {
            Situation::Dropped => None,
            Situation::Alone | Situation::Committed => Some(seen(&hold, Via::Connection, probe).await),
        };
        drop(hold);
        let next = self.seen(probe).await;
        let fate = if self.opened() == opened { Fate::Kept } else { Fate::Replaced };
        Ok(Left { own, next, fate })
    }

    async fn close(self) {
        let left = self.database.close(Instant::now() + PATIENCE).await;
        assert_eq!(left.sessions, 0);
    }
}

/// What came of one residue.
#[derive(Debug)]
struct Left {
    /// What the borrower who left it saw; nothing where it would only show later.
    own: Option<String>,
    /// What the next one saw.
    next: String,
    fate: Fate,
}

impl Left {
    /// Whether the residue was there, was gone, and the connection fared as expected.
    fn check(&self, fresh: &str, fate: Fate) -> Result<(), String> {
        if self.next != fresh {
            return Err(format!("the next borrower sees {} instead of {fresh}", self.next));
        }
        if self.own.as_deref() == Some(fresh) {
            return Err(format!("the residue never showed: {fresh}"));
        }
        if self.fate != fate {
            return Err(format!("the connection was {:?}, not {fate:?}", self.fate));
        }
        Ok(())
    }
}

const LIMIT: ResultLimit = ResultLimit { rows: 100, bytes: 100_000 };

fn statement(sql: &str) -> Statement {
    Statement { sql: sql.into(), params: Vec::new() }
}

fn begin() -> Operation {
    Operation::Begin(TransactionOptions { isolation: None, read_only: false }.into())
}

async fn run(hold: &Hold, via: Via, operation: Operation) -> Result<Answer, OperationError> {
    hold.run(via, operation, Until { at: Instant::now() + PATIENCE, limit: Limit::Statement }).await
}

async fn query(hold: &Hold, via: Via, sql: &str) -> Result<Answer, OperationError> {
    run(hold, via, Operation::Query(statement(sql), LIMIT)).await
}

/// The cells of a query, or the code of its failure, to be compared with one another.
async fn seen(hold: &Hold, via: Via, sql: &str) -> String {
    match query(hold, via, sql).await {
        Ok(Answer::Rows(rows)) => format!("{:?}", rows.batch.columns),
        Err(OperationError::Failed(Failure { code: Some(code), .. })) => format!("error {code}"),
        other => panic!("{sql}: {other:?}"),
    }
}

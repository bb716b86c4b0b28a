//! What a commit came to, and what its holder is told: done, failed, or unknown where nobody can tell. The server is asked afterwards.

mod alone;
mod documents;
mod ended;
mod failed;
mod ground;
mod lost;
mod nested;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use wharf::{
    driver::{Answer, Driver, Failure, Operation, ResultLimit, Statement, TransactionOptions},
    pool::{Borrower, Database, Granted, Hold, HostCapacity, Limit, OperationError, PoolSpec, Quota, Settings, Until, Via},
};

const PATIENCE: Duration = Duration::from_secs(30);
const TRANSACTION: Via = Via::Transaction(1);

/// A pool with one connection.
struct Pool(Database, Arc<Granted>);

impl Pool {
    async fn new(driver: Arc<dyn Driver>) -> Self {
        let settings = Settings { max_connections: 1, min_connections: 0, ..Settings::default() };
        let quota = Quota { pool: 0, max_connections: 1, reserved_connections: 0, max_transaction_time: PATIENCE };
        let pools = vec![PoolSpec { driver, shares_control_of: None }];
        let (database, grants) = Database::new("outcome", settings, pools, vec![quota], Arc::new(HostCapacity::new(1)));
        database.start(false).await.unwrap();
        Self(database, Arc::clone(&grants[0]))
    }

    async fn borrow_it(&self) -> Hold {
        let borrower = Borrower { plugin: "plugin".into(), request_id: "request".into(), trail: None };
        self.0.acquire(&self.1, borrower, Instant::now() + PATIENCE).await.unwrap()
    }

    async fn begun(&self) -> Hold {
        let hold = self.borrow_it().await;
        run(&hold, TRANSACTION, begin()).await.unwrap();
        hold
    }

    async fn close(self) {
        assert_eq!(self.0.close(Instant::now() + PATIENCE).await.sessions, 0);
    }
}

async fn run(hold: &Hold, via: Via, operation: Operation) -> Result<Answer, OperationError> {
    hold.run(via, operation, Until { at: Instant::now() + PATIENCE, limit: Limit::Statement }).await
}

fn begin() -> Operation {
    Operation::Begin(TransactionOptions { isolation: None, read_only: false }.into())
}

fn statement(sql: &str) -> Statement {
    Statement { sql: sql.into(), params: Vec::new() }
}

fn execute(sql: &str) -> Operation {
    Operation::Execute(statement(sql))
}

fn query(sql: &str) -> Operation {
    Operation::Query(statement(sql), ResultLimit { rows: 10, bytes: 10_000 })
}

#[track_caller]
fn failure(result: Result<Answer, OperationError>) -> Failure {
    match result {
        Err(OperationError::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

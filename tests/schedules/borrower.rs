//! Whoever borrows of a pool, and may go away at any point.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::future::{Either, select};
use tokio::time::Instant;
use wharf::driver::{Begin, Operation, ResultLimit, Statement, TransactionOptions};

use crate::{
    bed::{Bed, borrower, draw, turns},
    pool::{AcquireError, Database, Granted, Hold, Limit, OperationError, Until, Via},
};

/// Turns after which somebody has gone away, at most.
const LONG: usize = 30;

/// What a future came to, or `None` when it was dropped before.
pub(crate) async fn perhaps<F: Future>(future: F) -> Option<F::Output> {
    match select(pin!(future), pin!(turns(draw(LONG)))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

/// A task of the scheduler's.
pub(crate) fn task<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> shuttle::future::JoinHandle<T> {
    shuttle::future::spawn(future)
}

/// Borrows of a database.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) database: Database,
    pub(crate) grant: Arc<Granted>,
    /// How long a call of it lasts.
    pub(crate) patience: Duration,
}

impl Visitor {
    pub(crate) fn of(bed: &Bed, grant: usize, patience: Duration) -> Self {
        Self { database: bed.database.clone(), grant: Arc::clone(&bed.grants[grant]), patience }
    }

    /// One connection, used by chance and given back by chance.
    pub(crate) async fn visit(&self) -> Result<(), AcquireError> {
        let deadline = Instant::now() + self.patience;
        let hold = self.database.acquire(&self.grant, borrower(), deadline).await?;
        self.work(&hold, deadline).await;
        Ok(())
    }

    async fn work(&self, hold: &Hold, deadline: Instant) {
        let run = |via, operation| hold.run(via, operation, Until { at: deadline, limit: Limit::Call });
        let statement = || Statement { sql: Arc::from("SELECT 1"), params: Vec::new() };
        let limit = ResultLimit { rows: 1, bytes: 1000 };
        let query = |via| run(via, Operation::Query(statement(), limit));
        let transaction = Via::Transaction(1);
        let begin = || run(transaction, Operation::Begin(TransactionOptions { isolation: None, read_only: false }.into()));
        let cursor = Via::Cursor { transaction: 1, cursor: 2 };
        let opens = || async {
            run(transaction, Operation::Begin(Begin::Frame)).await?;
            run(cursor, Operation::OpenCursor(2, statement().into())).await
        };
        // Whatever it comes to: it is the end that counts.
        match draw(7) {
            0 => {}
            1 => drop(query(Via::Connection).await),
            2 => {
                let committed: Result<_, OperationError> = async {
                    begin().await?;
                    query(transaction).await?;
                    run(transaction, Operation::Commit).await
                }
                .await;
                drop(committed);
            }
            3 => {
                if begin().await.is_ok() {
                    drop(query(transaction).await);
                    hold.transaction_dropped(1);
                    drop(query(Via::Connection).await);
                }
            }
            // A cursor that is read and closed, and one that is given up while it is read.
            4 => {
                let read: Result<_, OperationError> = async {
                    opens().await?;
                    run(cursor, Operation::Fetch(2, limit)).await?;
                    run(cursor, Operation::CloseCursor(2)).await?;
                    run(transaction, Operation::Rollback).await
                }
                .await;
                drop(read);
            }
            5 => {
                if opens().await.is_ok() {
                    drop(perhaps(run(cursor, Operation::Fetch(2, limit))).await);
                    hold.cursor_dropped(1, 2);
                }
            }
            _ => {
                if begin().await.is_ok() {
                    drop(query(transaction).await);
                }
            }
        }
    }
}

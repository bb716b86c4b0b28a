//! A pool over connections that answer at once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::ensure;
use tokio::{task::yield_now, time::Instant};
use wharf::{
    driver::{ResultLimit, Statement, settings::Access},
    lease::{CallInfo, Connection, Grant, Grants, Scope},
    pool::{Borrower, Counter, Counts, Database, Granted, Hold, HostCapacity, PoolSpec, Quota, Settings},
};

use crate::ready::Ready;

/// Longer than anything here lasts.
const LONG: Duration = Duration::from_secs(24 * 3_600);

/// A pool whose connections are all open.
#[derive(Debug)]
pub struct Pool {
    database: Database,
    grant: Arc<Granted>,
    borrower: Borrower,
    deadline: Instant,
    scope: Arc<Scope>,
    statement: Statement,
}

impl Pool {
    /// Opens all connections. Nothing happens by the clock afterwards.
    ///
    /// # Errors
    /// When the pool does.
    pub async fn open(connections: u32) -> anyhow::Result<Self> {
        let settings = Settings {
            max_connections: connections,
            min_connections: connections,
            acquire_timeout: LONG,
            idle_timeout: LONG,
            max_lifetime: LONG,
            test_before_acquire: LONG,
            ..Settings::default()
        };
        let quota = Quota { pool: 0, max_connections: connections, reserved_connections: 0, max_transaction_time: LONG };
        let pools = vec![PoolSpec { driver: Arc::new(Ready::default()), shares_control_of: None }];
        let (database, grants) = Database::new("db", settings, pools, vec![quota], Arc::new(HostCapacity::new(connections)));
        database.start(true).await?;
        while database.counts() != (Counts { idle: connections, ..Counts::default() }) {
            yield_now().await;
        }
        let (plugin, request_id): (Arc<str>, Arc<str>) = ("plugin".into(), "0123456789abcdef".into());
        let deadline = Instant::now() + LONG;
        let max_result = ResultLimit { rows: 1_000, bytes: 1 << 20 };
        let grant = Grant {
            database: database.clone(),
            granted: Arc::clone(&grants[0]),
            access: Access::ReadWrite,
            max_connections: connections,
            max_result,
            max_statements: u32::MAX,
        };
        let call = CallInfo { plugin: Arc::clone(&plugin), request_id: Arc::clone(&request_id), deadline, trail: None };
        let scope = Scope::new(call, Arc::new(Grants::new(BTreeMap::from([("db".into(), grant)]))));
        let statement = Statement { sql: "SELECT n FROM numbers WHERE id = 7".into(), params: Vec::new() };
        Ok(Self {
            database,
            grant: Arc::clone(&grants[0]),
            borrower: Borrower { plugin, request_id, trail: None },
            deadline,
            scope,
            statement,
        })
    }

    /// Borrows a connection, for as long as it is not dropped.
    ///
    /// # Errors
    /// When the pool does.
    pub async fn acquire(&self) -> anyhow::Result<Hold> {
        Ok(self.database.acquire(&self.grant, self.borrower.clone(), self.deadline).await?)
    }

    /// Borrows a connection and gives it back, and lets its slot take it back.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn acquire_and_release(&self) -> anyhow::Result<()> {
        drop(self.acquire().await?);
        // On a runtime of one thread the slot has its turn now.
        yield_now().await;
        Ok(())
    }

    /// A connection that stays leased.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        self.scope.open("db")?.connect().await.map_err(Into::into)
    }

    /// Hands one statement over to the task of a connection that is leased already.
    ///
    /// # Errors
    /// When the answer is not the one expected.
    pub async fn hand_over(&self, connection: &Connection) -> anyhow::Result<()> {
        let rows = connection.query(self.statement.clone()).await?;
        ensure!(rows.batch.row_count == 1, "{rows:?}");
        Ok(())
    }

    /// One statement as a handler runs most: a connection is leased for it, and given back after it.
    ///
    /// # Errors
    /// As [`Self::hand_over`].
    pub async fn statement(&self) -> anyhow::Result<()> {
        let rows = self.scope.open("db")?.query(self.statement.clone()).await?;
        ensure!(rows.batch.row_count == 1, "{rows:?}");
        yield_now().await;
        Ok(())
    }

    /// How often somebody had to wait for a connection so far.
    #[must_use]
    pub fn waited(&self) -> u64 {
        self.database.counters().get(Counter::Waited)
    }
}

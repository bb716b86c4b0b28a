//! Calls that hold several things, and end at any moment: of whatever a database speaks, and what they may hold of SQL.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::time::Instant;
use wharf::driver::{Engine, ResultLimit, Statement, TransactionOptions, settings::Access};

use crate::{
    bed::{Bed, PATIENCE, Server, conducted, draw, left_nothing, turns},
    borrower::{perhaps, task},
    explore::{Patience, explore},
    lease::{CallInfo, Connection, Cursor, End, Grant, Grants, Scope, Transaction},
    pool::{HostCapacity, Quota, Settings},
};

/// Connections of the pool.
pub(super) const MAX: u32 = 2;

/// What a guest has in hand.
enum Handle {
    Connection(Connection),
    Transaction(Transaction),
    Cursor(Cursor),
}

fn statement() -> Statement {
    Statement { sql: Arc::from("SELECT 1"), params: Vec::new() }
}

/// Takes and drops handles by chance; what it has in the end.
async fn guest(scope: Arc<Scope>) -> Vec<Handle> {
    const WRITE: TransactionOptions = TransactionOptions { isolation: None, read_only: false };
    let mut held: Vec<Handle> = Vec::new();
    let database = scope.open("db").unwrap();
    for _ in 0..6 {
        let place = draw(held.len() + 1);
        // Whatever it comes to: the call may have ended, or hold all it may.
        match (draw(5), held.get(place)) {
            (0, None) => held.extend(database.connect().await.ok().map(Handle::Connection)),
            (1, None) => held.extend(database.begin(WRITE).await.ok().map(Handle::Transaction)),
            (2, None) => held.extend(database.cursor(statement()).await.ok().map(Handle::Cursor)),
            (_, None) => drop(perhaps(database.query(statement())).await),
            (0, Some(_)) => drop(held.swap_remove(place)),
            (1, Some(Handle::Connection(connection))) => {
                let begun = connection.begin(WRITE).await;
                held.extend(begun.ok().map(Handle::Transaction));
            }
            (2, Some(Handle::Transaction(transaction))) => {
                let opened = transaction.cursor(statement()).await;
                held.extend(opened.ok().map(Handle::Cursor));
            }
            (_, Some(Handle::Connection(connection))) => drop(perhaps(connection.query(statement())).await),
            (3, Some(Handle::Transaction(transaction))) => drop(transaction.commit().await),
            (_, Some(Handle::Transaction(transaction))) => drop(perhaps(transaction.execute(statement())).await),
            (_, Some(Handle::Cursor(cursor))) => drop(perhaps(cursor.next(1)).await),
        }
    }
    held
}

/// A pool for two, whose database speaks `engine`'s language.
pub(super) fn bed(engine: Engine, server: Server) -> Bed {
    let settings = Settings { max_connections: MAX, min_connections: 0, ..Settings::default() };
    let quotas = vec![Quota { pool: 0, max_connections: MAX, reserved_connections: 0, max_transaction_time: PATIENCE }];
    let script = conducted(server);
    script.speak(engine);
    Bed::on(&script, &Arc::new(HostCapacity::new(MAX)), settings, quotas)
}

/// A call that may have every connection of a bed, as `db`.
pub(super) fn call(bed: &Bed) -> Arc<Scope> {
    let grant = Grant {
        database: bed.database.clone(),
        granted: Arc::clone(&bed.grants[0]),
        access: Access::ReadWrite,
        max_connections: MAX,
        max_result: ResultLimit { rows: 100, bytes: 100_000 },
        max_statements: 100,
    };
    let grants = Arc::new(Grants::new(BTreeMap::from([(Arc::from("db"), grant)])));
    let deadline = Instant::now() + Duration::from_secs(15);
    Scope::new(CallInfo { plugin: "plugin".into(), request_id: "request".into(), deadline, trail: None }, grants)
}

/// Calls whose guests take what they like, and which end at any moment. What a guest has in hand then holds nothing.
pub(super) fn end_at_any_moment<H, F>(engine: Engine, guest: fn(Arc<Scope>) -> F) -> BoxFuture<'static, ()>
where
    H: Send + 'static,
    F: Future<Output = Vec<H>> + Send + 'static,
{
    async move {
        let server = if draw(2) == 0 { Server::HEALTHY } else { Server::SICK };
        let bed = bed(engine, server);
        drop(bed.database.start(false).await);
        let calls = (0..3).map(|_| {
            let scope = call(&bed);
            let ending = Arc::clone(&scope);
            task(async move {
                let guest = task(guest(scope));
                turns(draw(150)).await;
                // Somebody looks, and may want it to end.
                drop((ending.leased(), ending.waits_for()));
                if draw(2) == 0 {
                    ending.cancel()
                } else {
                    ending.end(End::Trapped)
                }
                // It goes on until it has had enough, or is dropped where it stands.
                if draw(2) == 0 {
                    guest.abort();
                }
                guest.await.unwrap_or_default()
            })
        });
        let mut held: Vec<H> = join_all(calls).await.into_iter().flat_map(Result::unwrap).collect();
        // Whatever they have in hand, nothing is lent any more.
        bed.calms();
        bed.is_quiet().await;
        // A Store that is dropped drops what is in it, in any order.
        while !held.is_empty() {
            drop(held.swap_remove(draw(held.len())));
        }
        let script = bed.script.clone();
        bed.settles().await;
        left_nothing(&script, MAX);
    }
    .boxed()
}

fn calls(_patience: Patience) -> BoxFuture<'static, ()> {
    end_at_any_moment(Engine::Postgres, guest)
}

#[test]
fn a_call_that_ends_at_any_moment_holds_nothing() {
    explore("a_call_that_ends_at_any_moment_holds_nothing", calls);
}

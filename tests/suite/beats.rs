//! What must go on for as long as a host does says that it does, and a host in which something does not is not live.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use support::scripted::Script;
use tokio_util::sync::CancellationToken;
use wharf::{
    admin::{Admin, Settings as AdminSettings, Subjects, Watched},
    driver::Driver,
    pool::{Database, HostCapacity, PoolSpec, Settings},
    shards::Shards,
};

/// Whoever looks from then sees that nobody has gone on since now.
const MUCH_LATER: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn a_host_is_live_while_somebody_looks_after_its_databases() {
    let capacity = Arc::new(HostCapacity::new(1));
    let spec = PoolSpec { driver: Arc::new(Script::new()) as Arc<dyn Driver>, shares_control_of: None };
    let settings = Settings { max_connections: 1, min_connections: 0, ..Settings::default() };
    let (database, _grants) = Database::new("db", settings, vec![spec], Vec::new(), Arc::clone(&capacity));
    let who = AdminSettings { is_loopback: true, token: None, hosts: Vec::new(), open_views: true, max_viewers: 1 };
    let admin = Admin::new(who, Duration::ZERO, Shards::default(), capacity, CancellationToken::new());
    let watched = Watched { database: database.clone(), required: true, last_generation: None };
    admin.show(Subjects { databases: vec![watched], ..Subjects::default() });
    assert!(admin.is_live(Instant::now() + MUCH_LATER), "nobody looks after it yet");
    database.start(false).await.unwrap();
    // Its task has its first turn.
    while database.upkeep_overdue(Instant::now() + MUCH_LATER) == Duration::ZERO {
        tokio::task::yield_now().await;
    }
    assert!(admin.is_live(Instant::now()));
    assert!(!admin.is_live(Instant::now() + MUCH_LATER), "nobody has looked after it since");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    database.close(deadline).await;
    assert!(admin.is_live(Instant::now() + MUCH_LATER), "nobody need look after what is closed");
}

//! Calls in a shard: one that computes for long leaves it.

use tokio_util::task::TaskTracker;

use super::*;
use crate::shards::Shards;

/// Long enough to be seen computing.
const LONG: Duration = Duration::from_secs(60);

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_computes_for_long_leaves_its_shard_and_still_ends_with_its_client() {
    let (shards, threads) = Shards::start(1).unwrap();
    let host = Arc::new(Host::new());
    let tasks = TaskTracker::new();
    let plugin = host.plugin(SPIN, brief(LONG));
    let (client, gone) = oneshot::channel::<()>();
    let call = {
        let host = Arc::clone(&host);
        async move {
            tokio::select! {
                answer = host.call(&plugin) => panic!("it computes for ever, and answered {answer:?}"),
                _ = gone => {}
            }
        }
    };
    shards.spawn(Some(0), &tasks, call);
    until(|| host.caller.tasks() == 1).await;
    drop(client);
    until(|| host.caller.tasks() == 0).await;
    host.is_whole(&[Outcome::ClientGone]);
    threads.stop(LONG);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_a_call_that_has_left_is_told_as_ever() {
    let (shards, threads) = Shards::start(1).unwrap();
    let host = Arc::new(Host::new());
    let tasks = TaskTracker::new();
    for (limits, outcome) in [
        (brief(Duration::from_millis(50)), Outcome::DeadlineExceeded),
        (Limits { fuel: 50_000_000, ..brief(LONG) }, Outcome::FuelExhausted),
    ] {
        let plugin = host.plugin(SPIN, limits);
        let (sender, ended) = oneshot::channel();
        let host = Arc::clone(&host);
        shards.spawn(Some(0), &tasks, async move {
            let _ = sender.send(host.call(&plugin).await.unwrap_err().outcome());
        });
        assert_eq!(ended.await.unwrap(), outcome);
    }
    host.is_whole(&[Outcome::DeadlineExceeded, Outcome::FuelExhausted]);
    threads.stop(LONG);
}

#[tokio::test]
async fn outside_a_shard_a_call_that_computes_stays_where_it_is() {
    let host = Host::new();
    let plugin = host.plugin(SPIN, brief(LONG));
    let call = tokio::time::timeout(Duration::from_millis(50), host.call(&plugin));
    let watch = async {
        loop {
            assert_eq!(host.caller.tasks(), 0);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = call => assert!(ended.is_err()),
        () = watch => {}
    }
    host.is_whole(&[Outcome::ClientGone]);
}

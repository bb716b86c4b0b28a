//! Instances that serve several calls, one after the other: how many, and what is not kept.

use super::*;
use crate::call::kept::KEPT_FOR;

/// Drops the handles of the request, so that nothing is left behind.
const TIDY: &str = "(call $drop_request (local.get 0)) (call $drop_outparam (local.get 1))";

/// Traps in the third call of an instance.
const THIRD_TRAPS: &str = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.eq (global.get $calls) (i32.const 3)) (then unreachable))";

/// Computes for ever in the second call of an instance.
const SECOND_SPINS: &str = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.eq (global.get $calls) (i32.const 2)) (then (loop (br 0))))";

fn reused(reuse: u32) -> Limits {
    Limits { reuse, ..Limits::default() }
}

impl Host {
    async fn outcomes(&self, body: &str, limits: Limits, calls: usize) -> Vec<Outcome> {
        let plugin = self.plugin(body, limits);
        let mut outcomes = Vec::new();
        for _ in 0..calls {
            outcomes.push(self.call(&plugin).await.unwrap_err().outcome());
        }
        outcomes
    }

    /// Instances that rest, and places behind the gate that are taken.
    fn rest(&self) -> (usize, usize) {
        (self.caller.shared().kept.len(), self.engines.gate().running())
    }
}

#[tokio::test]
async fn an_instance_serves_as_many_calls_as_it_may() {
    let body = format!("{TIDY} {THIRD_TRAPS}");
    for reuse in [1, 2] {
        let host = Host::new();
        assert_eq!(host.outcomes(&body, reused(reuse), 6).await, [Outcome::NoResponse; 6]);
        host.is_whole(&[Outcome::NoResponse; 6]);
    }
    let host = Host::new();
    let fine = Outcome::NoResponse;
    assert_eq!(host.outcomes(&body, reused(3), 4).await, [fine, fine, Outcome::Trapped, fine]);
    assert_eq!(host.rest(), (1, 1));
}

#[tokio::test]
async fn who_leaves_a_handle_behind_is_not_called_again() {
    let host = Host::new();
    let body = format!("(call $drop_request (local.get 0)) {THIRD_TRAPS}");
    assert_eq!(host.outcomes(&body, reused(100), 6).await, [Outcome::NoResponse; 6]);
    assert_eq!(host.rest(), (0, 0));
}

#[tokio::test]
async fn who_was_refused_memory_is_not_called_again() {
    let host = Host::new();
    let body = format!("{TIDY} {THIRD_TRAPS} (drop (memory.grow (i32.const 10000)))");
    assert_eq!(host.outcomes(&body, reused(100), 6).await, [Outcome::NoResponse; 6]);
    assert_eq!(host.rest(), (0, 0));
}

#[tokio::test]
async fn every_call_of_an_instance_has_the_whole_fuel() {
    let host = Host::new();
    // Some 60,000 units of 100,000.
    let body = format!(
        "(local i32) {TIDY} (local.set 2 (i32.const 10000))
         (loop (local.set 2 (i32.sub (local.get 2) (i32.const 1))) (br_if 0 (local.get 2)))"
    );
    let limits = Limits { fuel: 100_000, ..reused(100) };
    assert_eq!(host.outcomes(&body, limits.clone(), 6).await, [Outcome::NoResponse; 6]);
    assert_eq!(host.rest(), (1, 1));
    // So it would not have been enough for two.
    let used = host.counted(Stats::fuel_used);
    assert!(used > 6 * limits.fuel / 2 && used < 6 * limits.fuel, "{used}");
}

#[tokio::test]
async fn the_deadline_and_the_client_of_a_later_call_drop_the_instance() {
    let host = Host::new();
    let body = format!("{SECOND_SPINS} {TIDY}");
    let plugin = host.plugin(&body, Limits { reuse: 100, ..brief(Duration::from_millis(100)) });
    assert_eq!(host.call(&plugin).await.unwrap_err().outcome(), Outcome::NoResponse);
    assert_eq!(host.rest(), (1, 1));
    assert_eq!(host.call(&plugin).await.unwrap_err().outcome(), Outcome::DeadlineExceeded);
    assert_eq!(host.rest(), (0, 0));
    assert_eq!(host.call(&plugin).await.unwrap_err().outcome(), Outcome::NoResponse);
    let mut call = Box::pin(host.call(&plugin));
    assert!((&mut call).now_or_never().is_none());
    assert_eq!(host.rest(), (0, 1));
    drop(call);
    assert_eq!(host.rest(), (0, 0));
}

#[tokio::test]
async fn two_calls_at_once_have_two_instances() {
    let host = Host::new();
    let body = format!("{SECOND_SPINS} {TIDY}");
    let plugin = host.plugin(&body, Limits { reuse: 100, ..brief(Duration::from_secs(60)) });
    assert_eq!(host.call(&plugin).await.unwrap_err().outcome(), Outcome::NoResponse);
    // The instance that rested now computes for ever; the next call gets another.
    let mut call = Box::pin(host.call(&plugin));
    assert!((&mut call).now_or_never().is_none());
    assert_eq!(host.call(&plugin).await.unwrap_err().outcome(), Outcome::NoResponse);
    assert_eq!(host.rest(), (1, 2));
    drop(call);
    assert_eq!(host.rest(), (1, 1));
}

#[tokio::test]
async fn whoever_waits_for_a_place_gets_that_of_one_that_rests() {
    let host = Host::new();
    let resting = host.plugin(TIDY, reused(100));
    assert_eq!(host.call(&resting).await.unwrap_err().outcome(), Outcome::NoResponse);
    let busy = host.plugin(SPIN, brief(Duration::from_secs(60)));
    // There are four places, and one is taken by whoever rests.
    let mut calls: Vec<_> = (0..4).map(|_| Box::pin(host.call(&busy))).collect();
    for (index, call) in calls.iter_mut().enumerate() {
        assert!(call.now_or_never().is_none());
        assert_eq!(host.rest(), if index < 3 { (1, index + 2) } else { (0, 4) });
    }
    // Nobody rests while somebody waits.
    let mut waiting = Box::pin(host.call(&resting));
    assert!((&mut waiting).now_or_never().is_none());
    let mut another = Box::pin(host.call(&resting));
    assert!((&mut another).now_or_never().is_none());
    drop(calls.pop());
    assert_eq!(waiting.await.unwrap_err().outcome(), Outcome::NoResponse);
    assert_eq!(another.await.unwrap_err().outcome(), Outcome::NoResponse);
    assert_eq!(host.rest(), (1, 4));
}

#[tokio::test]
async fn nobody_rests_in_a_place_that_is_to_go() {
    let host = Host::new();
    let plugins = [(); 4].map(|()| host.plugin(TIDY, reused(100)));
    for plugin in &plugins {
        assert_eq!(host.call(plugin).await.unwrap_err().outcome(), Outcome::NoResponse);
    }
    assert_eq!(host.rest(), (4, 4));
    host.engines.gate().resize(1, 4);
    assert_eq!(host.call(&plugins[0]).await.unwrap_err().outcome(), Outcome::NoResponse);
    assert_eq!(host.rest(), (3, 3));
    // The places of two are to go, and whoever waits gets that of the third.
    let another = host.plugin(TIDY, reused(100));
    assert_eq!(host.call(&another).await.unwrap_err().outcome(), Outcome::NoResponse);
    assert_eq!(host.rest(), (1, 1));
}

#[tokio::test]
async fn nobody_rests_for_long() {
    let host = Host::new();
    let plugin = host.plugin(TIDY, reused(100));
    let before = Instant::now();
    assert_eq!(host.call(&plugin).await.unwrap_err().outcome(), Outcome::NoResponse);
    let kept = &host.caller.shared().kept;
    assert!(!kept.give_up(before + KEPT_FOR));
    assert_eq!(host.rest(), (1, 1));
    assert!(kept.give_up(Instant::now() + KEPT_FOR));
    assert_eq!(host.rest(), (0, 0));
}

#[tokio::test]
async fn a_host_that_drains_keeps_nobody_and_waits_for_nobody_who_rests() {
    let host = Host::new();
    let plugin = host.plugin(TIDY, reused(100));
    assert_eq!(host.call(&plugin).await.unwrap_err().outcome(), Outcome::NoResponse);
    tokio::time::timeout(KEPT_FOR / 10, host.caller.drained()).await.unwrap();
    assert_eq!(host.rest(), (0, 0));
    assert_eq!(host.call(&plugin).await.unwrap_err().outcome(), Outcome::NoResponse);
    assert_eq!(host.rest(), (0, 0));
}

#[tokio::test]
async fn whoever_is_retired_gives_its_instances_up_and_keeps_none_anew() {
    let host = Host::new();
    let plugin = host.plugin(TIDY, reused(100));
    let other = host.plugin(TIDY, reused(100));
    for plugin in [&plugin, &other] {
        assert_eq!(host.call(plugin).await.unwrap_err().outcome(), Outcome::NoResponse);
    }
    assert_eq!(host.rest(), (2, 2));
    host.caller.retire(&plugin);
    assert_eq!(host.rest(), (1, 1));
    assert_eq!(Arc::strong_count(&plugin), 1);
    // Who came before is served still.
    assert_eq!(host.call(&plugin).await.unwrap_err().outcome(), Outcome::NoResponse);
    assert_eq!(host.rest(), (1, 1));
    assert_eq!(Arc::strong_count(&plugin), 1);
}

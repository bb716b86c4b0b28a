//! Trying a plugin before it is called: what is a fault, and that nothing is left of it.

use http::uri::PathAndQuery;

use super::*;

const EAT: &str = "(loop (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) (br 0))";

#[tokio::test]
async fn whoever_can_be_made_is_fine_whatever_it_does_when_it_is_called() {
    let host = Host::new();
    let plugin = host.starting("(drop (memory.grow (i32.const 16)))", "unreachable", Limits::default());
    assert_eq!(host.caller.probe(&plugin).await, Ok(()));
    host.is_whole(&[]);
}

#[tokio::test]
async fn a_start_that_traps_loops_or_eats_memory_is_a_fault_and_leaves_nothing() {
    let host = Host::new();
    let endless = Limits { fuel: u64::MAX, ..Limits::default() };
    for (start, limits, expected) in [
        ("unreachable", Limits::default(), Outcome::Trapped),
        (SPIN, endless, Outcome::DeadlineExceeded),
        (SPIN, Limits { fuel: 10_000_000, ..Limits::default() }, Outcome::FuelExhausted),
        (EAT, Limits::default(), Outcome::MemoryExhausted),
    ] {
        let plugin = host.starting(start, "", limits);
        assert_eq!(host.caller.probe(&plugin).await.unwrap_err().outcome(), expected, "{start}");
        assert_eq!(Arc::strong_count(&plugin), 1, "{start}");
        host.is_whole(&[]);
    }
}

#[tokio::test]
async fn nobody_is_left_when_it_is_given_up() {
    let host = Host::new();
    let plugin = host.starting(SPIN, "", Limits { fuel: u64::MAX, ..Limits::default() });
    let mut probe = Box::pin(host.caller.probe(&plugin));
    assert!((&mut probe).now_or_never().is_none());
    assert_eq!(host.engines.gate().running(), 1);
    drop(probe);
    host.is_whole(&[]);
}

#[tokio::test]
async fn whoever_is_asked_and_gives_no_answer_is_told_apart_and_leaves_nothing() {
    let path = PathAndQuery::from_static("/health?deep");
    for (body, limits, expected) in [
        ("unreachable", Limits::default(), Outcome::Trapped),
        ("", Limits::default(), Outcome::NoResponse),
        (SPIN, brief(Duration::from_millis(50)), Outcome::DeadlineExceeded),
    ] {
        let host = Host::new();
        let plugin = host.plugin(body, limits);
        assert_eq!(host.caller.ask(&plugin, &path, None).await, Err(expected), "{body}");
        host.is_whole(&[expected]);
    }
}

#[tokio::test]
async fn who_is_asked_on_a_busy_host_waits_for_a_place() {
    let host = Host::new();
    let busy = host.plugin(SPIN, brief(Duration::from_millis(300)));
    let (plugin, path) = (host.plugin("unreachable", Limits::default()), PathAndQuery::from_static("/"));
    let mut running: Vec<_> = (0..4).map(|_| Box::pin(host.call(&busy))).collect();
    assert!(running.iter_mut().all(|call| call.now_or_never().is_none()));
    // Its place comes later than `queue_timeout` of this host, which is 50 ms.
    let (asked, _) = tokio::join!(host.caller.ask(&plugin, &path, None), futures::future::join_all(running));
    assert_eq!(asked, Err(Outcome::Trapped));
}

#[tokio::test]
async fn who_is_tried_waits_for_a_place_also_where_the_queue_is_full() {
    let host = Host::new();
    let busy = host.plugin(SPIN, brief(Duration::from_secs(60)));
    let mut running: Vec<_> = (0..4).map(|_| Box::pin(host.call(&busy))).collect();
    assert!(running.iter_mut().all(|call| call.now_or_never().is_none()));
    host.engines.gate().resize(4, 0);
    let plugin = host.plugin("", Limits::default());
    let mut probe = Box::pin(host.caller.probe(&plugin));
    assert!((&mut probe).now_or_never().is_none());
    drop(running);
    assert_eq!(probe.await, Ok(()));
    host.is_whole(&[Outcome::ClientGone; 4]);
}

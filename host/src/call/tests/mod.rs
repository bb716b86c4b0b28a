//! Every way a call can end, with handlers written by hand. Handlers that answer are compiled from Rust by the integration tests.

mod kept;
mod probe;
mod roster;
mod shards;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::guest::Guest;
use super::request::BodyFailure;
use super::running::{Parts, Running};
use super::{Admission, CallBody, CallError, CallMeta, Caller, Outcome, OverloadLimit, RequestBodyError};
use crate::engine::{EngineSettings, Engines};
use crate::lease::{CallInfo, Grants, Scope};
use crate::plugin::{self, Limits, Plugin, Stats};

struct Host {
    engines: Engines,
    caller: Caller,
    shutdown: CancellationToken,
    /// Of every plugin that was made.
    stats: Mutex<Vec<Arc<Stats>>>,
}

impl Host {
    fn new() -> Self {
        let engines = Engines::new(&EngineSettings { max_instances: 4, max_waiting: 4, ..EngineSettings::default() }).unwrap();
        let shutdown = CancellationToken::new();
        let admission = Admission::new(Arc::clone(engines.gate()), Duration::from_millis(50));
        Self { caller: Caller::new(admission, shutdown.clone()), engines, shutdown, stats: Mutex::default() }
    }

    /// A handler of WASI 0.2 with this body, and whatever else it needs.
    fn plugin(&self, body: &str, limits: Limits) -> Arc<Plugin> {
        self.starting("", body, limits)
    }

    /// The same, which does this before it can be called.
    fn starting(&self, start: &str, body: &str, limits: Limits) -> Arc<Plugin> {
        let component = format!(
            r#"(component
                (import "wasi:http/types@0.2.0" (instance $types
                    (export "incoming-request" (type (sub resource)))
                    (export "response-outparam" (type (sub resource)))))
                (alias export $types "incoming-request" (type $request))
                (alias export $types "response-outparam" (type $outparam))
                (core func $drop_request (canon resource.drop $request))
                (core func $drop_outparam (canon resource.drop $outparam))
                (core module $module
                    (import "handles" "drop-request" (func $drop_request (param i32)))
                    (import "handles" "drop-outparam" (func $drop_outparam (param i32)))
                    (memory 1)
                    (global $calls (mut i32) (i32.const 0))
                    (func $start {start})
                    (start $start)
                    (func $recurse (param i64) (result i64) (i64.add (call $recurse (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
                    (func (export "handle") (param i32 i32) {body}))
                (core instance $handles
                    (export "drop-request" (func $drop_request))
                    (export "drop-outparam" (func $drop_outparam)))
                (core instance $instance (instantiate $module (with "handles" (instance $handles))))
                (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
                    (canon lift (core func $instance "handle")))
                (instance $handler (export "handle" (func $handle)))
                (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#
        );
        let component = wat::parse_str(component).unwrap();
        let plugin = plugin::load(&self.engines, "test", &component, limits, Arc::new(Grants::default())).unwrap();
        self.stats.lock().unwrap().push(Arc::clone(plugin.stats()));
        Arc::new(plugin)
    }

    async fn call(&self, plugin: &Arc<Plugin>) -> Result<Response<CallBody>, CallError> {
        let body = Empty::<Bytes>::new().map_err(|never| match never {});
        let request = Request::builder().uri("http://example.org/").body(body).unwrap();
        let meta =
            CallMeta { request_id: "test".into(), is_secure: false, trail: None, span: None, reader_stalled: None, timing: None };
        self.caller.call(Arc::clone(plugin), request, meta).await
    }

    async fn outcome(&self, body: &str, limits: Limits) -> Outcome {
        let plugin = self.plugin(body, limits);
        let outcome = self.call(&plugin).await.unwrap_err().outcome();
        self.is_whole(&[outcome]);
        outcome
    }

    /// What was counted of the calls of all plugins together.
    fn counted(&self, of: impl Fn(&Stats) -> u64) -> u64 {
        self.stats.lock().unwrap().iter().map(|stats| of(stats)).sum()
    }

    /// All capacity is free, nothing runs, and these are the outcomes that were counted since the start.
    fn is_whole(&self, outcomes: &[Outcome]) {
        assert_eq!(self.engines.gate().running(), 0);
        assert_eq!(self.caller.roster().running(), 0);
        for outcome in Outcome::ALL {
            let expected = outcomes.iter().filter(|counted| *counted == outcome).count() as u64;
            assert_eq!(self.counted(|stats| outcome.count(stats)), expected, "{outcome:?}");
        }
    }
}

const SPIN: &str = "(loop (br 0))";

fn brief(deadline: Duration) -> Limits {
    Limits { deadline, fuel: u64::MAX, ..Limits::default() }
}

#[tokio::test]
async fn a_trap_is_a_trap() {
    assert_eq!(Host::new().outcome("unreachable", Limits::default()).await, Outcome::Trapped);
}

#[tokio::test]
async fn a_stack_overflow_is_contained() {
    let host = Host::new();
    let plugin = host.plugin("(drop (call $recurse (i64.const 0)))", Limits::default());
    let CallError::Trapped { detail } = host.call(&plugin).await.unwrap_err() else { panic!("no trap") };
    assert!(detail.contains("call stack exhausted"), "{detail}");
    host.is_whole(&[Outcome::Trapped]);
}

#[tokio::test]
async fn returning_without_an_answer_is_told_apart() {
    assert_eq!(Host::new().outcome("", Limits::default()).await, Outcome::NoResponse);
}

#[tokio::test]
async fn fuel_runs_out() {
    assert_eq!(Host::new().outcome(SPIN, Limits { fuel: 10_000_000, ..Limits::default() }).await, Outcome::FuelExhausted);
}

#[tokio::test]
async fn the_deadline_ends_a_handler_that_has_fuel_for_ever() {
    assert_eq!(Host::new().outcome(SPIN, brief(Duration::from_millis(50))).await, Outcome::DeadlineExceeded);
}

#[tokio::test]
async fn refused_memory_is_told_apart_from_the_trap_it_leads_to() {
    let eat = "(loop (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) (br 0))";
    assert_eq!(Host::new().outcome(eat, Limits::default()).await, Outcome::MemoryExhausted);
    // Not even the memory it starts with.
    assert_eq!(Host::new().outcome("", Limits { memory: 1, ..Limits::default() }).await, Outcome::MemoryExhausted);
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_call_along() {
    let host = Host::new();
    let plugin = host.plugin(SPIN, brief(Duration::from_secs(60)));
    let mut call = Box::pin(host.call(&plugin));
    assert!((&mut call).now_or_never().is_none());
    assert_eq!((host.engines.gate().running(), host.caller.roster().running()), (1, 1));
    drop(call);
    host.is_whole(&[Outcome::ClientGone]);
}

#[tokio::test]
async fn shutting_down_ends_calls_and_begins_no_more() {
    let host = Host::new();
    let plugin = host.plugin(SPIN, brief(Duration::from_secs(60)));
    let mut call = Box::pin(host.call(&plugin));
    assert!((&mut call).now_or_never().is_none());
    host.shutdown.cancel();
    assert_eq!(call.await.unwrap_err(), CallError::ShuttingDown);
    assert_eq!(host.call(&plugin).await.unwrap_err(), CallError::ShuttingDown);
    host.is_whole(&[Outcome::ShuttingDown, Outcome::ShuttingDown]);
}

#[tokio::test]
async fn too_many_calls_are_refused_by_the_limit_they_reach() {
    let host = Host::new();
    let limits = brief(Duration::from_secs(60));
    let narrow = host.plugin(SPIN, Limits { max_concurrency: 1, max_waiting: 1, ..limits.clone() });
    let mut running = Box::pin(host.call(&narrow));
    assert!((&mut running).now_or_never().is_none());
    let mut waiting = Box::pin(host.call(&narrow));
    assert!((&mut waiting).now_or_never().is_none());
    let refused = |limit| Err(CallError::Overloaded { limit });
    assert_eq!(host.call(&narrow).await.map(drop), refused(OverloadLimit::PluginQueue));
    assert_eq!(waiting.await.map(drop), refused(OverloadLimit::PluginConcurrency));
    let stats = narrow.stats();
    assert_eq!((stats.queued.count(), stats.took.count(), Outcome::Overloaded.count(stats)), (3, 0, 2));

    let wide = host.plugin(SPIN, limits);
    let mut others: Vec<_> = (0..3).map(|_| Box::pin(host.call(&wide))).collect();
    assert!(others.iter_mut().all(|call| call.now_or_never().is_none()));
    assert_eq!(host.call(&wide).await.map(drop), refused(OverloadLimit::HostInstances));
    drop((running, others));
    assert_eq!((host.engines.gate().running(), host.engines.gate().waiting()), (0, 0));
}

#[tokio::test]
async fn what_calls_cost_is_counted_for_their_plugin() {
    let host = Host::new();
    let (spins, idle) = (host.plugin(SPIN, Limits { fuel: 10_000_000, ..Limits::default() }), host.plugin("", Limits::default()));
    for _ in 0..2 {
        assert_eq!(host.call(&spins).await.unwrap_err(), CallError::FuelExhausted);
    }
    let stats = spins.stats();
    assert_eq!((stats.queued.count(), stats.took.count(), Outcome::FuelExhausted.count(stats)), (2, 2, 2));
    assert!(stats.fuel_used() > 10_000_000, "{stats:?}");
    assert_eq!(stats.memory_peak(), 64 << 10);
    let stats = idle.stats();
    assert_eq!((stats.queued.count(), stats.fuel_used(), stats.memory_peak()), (0, 0, 0));
}

/// A call with a guest of our own, to see what no component can do.
fn running(host: &Host, guest: Guest, failure: BodyFailure) -> Running {
    let plugin = host.plugin("", Limits::default());
    let permit = host.engines.gate().enter(Instant::now()).now_or_never().unwrap().unwrap();
    let own = plugin.gate().enter(Instant::now()).now_or_never().unwrap().unwrap();
    let info = CallInfo {
        plugin: Arc::clone(plugin.name()),
        request_id: "test".into(),
        deadline: Instant::now() + Duration::from_secs(60),
        trail: None,
    };
    Running::new(Parts {
        shared: Arc::clone(host.caller.shared()),
        guest,
        permit: super::admission::Permit::of(permit, own),
        scope: Scope::new(info, Arc::new(Grants::default())),
        plugin,
        span: None,
        sent: oneshot::channel().0,
        body_failure: failure,
        started: Instant::now(),
    })
}

#[tokio::test]
async fn a_panic_of_the_host_ends_one_call() {
    let host = Host::new();
    let mut run = running(&host, Box::pin(async { panic!("a host function panics") }), BodyFailure::default());
    assert_eq!(run.drive(std::future::pending::<()>()).await, Err(CallError::HostPanicked));
    host.is_whole(&[Outcome::HostPanicked]);
    drop(run);
    host.is_whole(&[Outcome::HostPanicked]);
}

#[tokio::test]
async fn a_request_body_that_fails_ends_the_call_before_its_answer() {
    for (failed, expected) in [
        (RequestBodyError::TooLarge { limit_bytes: 9 }, Outcome::BodyTooLarge),
        (RequestBodyError::Stalled, Outcome::BodyStalled),
        (RequestBodyError::ClientGone, Outcome::ClientGone),
    ] {
        let host = Host::new();
        let failure = BodyFailure::default();
        failure.set(failed).unwrap();
        let mut run = running(&host, Box::pin(std::future::pending()), Arc::clone(&failure));
        assert_eq!(run.drive(std::future::ready(())).await.unwrap_err().outcome(), expected);
        host.is_whole(&[expected]);

        // Once the answer has begun it is the handler's business.
        let mut run = running(&host, Box::pin(std::future::pending()), failure);
        run.answer_begun();
        run.drive(std::future::ready(())).await.unwrap();
    }
}

#[tokio::test]
async fn a_guest_that_returned_gives_everything_back_before_its_answer_is_sent() {
    let host = Host::new();
    let mut run = running(&host, Box::pin(async { Ok(None) }), BodyFailure::default());
    run.drive(std::future::ready(())).await.unwrap();
    assert!(run.guest_returned());
    assert_eq!((host.engines.gate().running(), host.caller.roster().running()), (0, 1));
    run.end_answered();
    host.is_whole(&[Outcome::Answered]);
}

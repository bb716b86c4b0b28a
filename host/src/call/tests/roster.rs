//! The list of calls that run, and how one of them is ended from outside.

use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio_util::task::TaskTracker;
use wasmtime_wasi_http::{Error, WasiBody};

use super::*;
use crate::{
    call::{
        AnswerAborted, CallView,
        answer::{Delivery, deliver},
    },
    lease::Stage,
};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

impl Host {
    /// The only call that runs.
    fn only(&self) -> CallView {
        let mut calls = self.caller.roster().calls();
        assert_eq!((calls.len(), self.caller.roster().running()), (1, 1));
        calls.remove(0)
    }

    fn cancel_only(&self) {
        assert!(self.caller.roster().cancel(self.only().number));
    }

    /// Drives a guest of our own until its answer, which never comes, in a task that has begun to wait.
    async fn waiting(&self, guest: Guest) -> tokio::task::JoinHandle<Result<(), CallError>> {
        let mut run = running(self, guest, BodyFailure::default());
        let call = tokio::spawn(async move { run.drive(std::future::pending::<()>()).await });
        tokio::task::yield_now().await;
        assert!(!call.is_finished());
        call
    }
}

#[tokio::test]
async fn a_call_is_listed_from_its_admission_to_its_end() {
    let host = Host::new();
    let plugin = host.plugin(SPIN, brief(LONG));
    assert!(host.caller.roster().calls().is_empty());
    let mut call = Box::pin(host.call(&plugin));
    assert!((&mut call).now_or_never().is_none());
    let seen = host.only();
    assert_eq!((&*seen.plugin, &*seen.request_id, seen.stage, seen.state()), ("test", "test", Stage::Running, "running"));
    assert!(seen.waits_for.is_empty() && seen.leases.is_empty() && !seen.is_cancelled);
    assert!(host.only().age >= seen.age);
    drop(call);
    host.is_whole(&[Outcome::ClientGone]);
}

#[tokio::test]
async fn no_number_comes_twice() {
    let host = Host::new();
    let plugin = host.plugin(SPIN, brief(LONG));
    let mut numbers = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let mut calls: Vec<_> = (0..3).map(|_| Box::pin(host.call(&plugin))).collect();
        assert!(calls.iter_mut().all(|call| call.now_or_never().is_none()));
        let seen = host.caller.roster().calls();
        assert_eq!(seen.len(), 3);
        assert!(seen.is_sorted_by(|one, next| one.age >= next.age));
        for CallView { number, .. } in seen {
            assert!(numbers.insert(number), "{number}");
        }
    }
    // Nor does one of a call that is over mean another.
    let mut call = Box::pin(host.call(&plugin));
    assert!((&mut call).now_or_never().is_none());
    let others = numbers.into_iter().chain([0, u64::MAX]);
    assert_eq!(others.filter(|number| host.caller.roster().cancel(*number)).count(), 0);
    assert!(!host.only().is_cancelled);
}

#[tokio::test]
async fn a_call_that_computes_is_cancelled_and_no_other() {
    let host = Host::new();
    let plugin = host.plugin(SPIN, brief(LONG));
    let [mut first, mut second] = [0, 1].map(|_| Box::pin(host.call(&plugin)));
    assert!((&mut first).now_or_never().is_none());
    let CallView { number, .. } = host.only();
    assert!((&mut second).now_or_never().is_none());
    assert!(host.caller.roster().cancel(number));
    let states: Vec<_> = host.caller.roster().calls().iter().map(CallView::state).collect();
    assert_eq!(states, ["cancelled", "running"]);
    assert_eq!(first.await.unwrap_err(), CallError::Cancelled);
    assert!(!host.caller.roster().cancel(number));
    assert!((&mut second).now_or_never().is_none());
    drop(second);
    host.is_whole(&[Outcome::Cancelled, Outcome::ClientGone]);
}

#[tokio::test]
async fn a_call_that_waits_is_woken_by_its_cancel() {
    let host = Host::new();
    let call = host.waiting(Box::pin(std::future::pending())).await;
    host.cancel_only();
    assert_eq!(call.await.unwrap(), Err(CallError::Cancelled));
    host.is_whole(&[Outcome::Cancelled]);
}

#[tokio::test]
async fn a_call_that_waits_is_woken_by_the_stop_of_the_host() {
    let host = Host::new();
    let call = host.waiting(Box::pin(std::future::pending())).await;
    host.shutdown.cancel();
    assert_eq!(call.await.unwrap(), Err(CallError::ShuttingDown));
    host.is_whole(&[Outcome::ShuttingDown]);
}

#[tokio::test]
async fn whatever_a_handler_makes_of_it_a_cancelled_call_is_cancelled() {
    for fails in [false, true] {
        let host = Host::new();
        let roster = Arc::clone(host.caller.roster());
        // As one that loses its connections in the middle of its turn.
        let guest: Guest = Box::pin(async move {
            assert!(roster.cancel(roster.calls()[0].number));
            if fails { Err(wasmtime::format_err!("the handler fails")) } else { Ok(None) }
        });
        let mut run = running(&host, guest, BodyFailure::default());
        assert_eq!(run.drive(std::future::ready(())).await, Err(CallError::Cancelled));
        host.is_whole(&[Outcome::Cancelled]);
    }
}

#[tokio::test]
async fn an_answer_that_streams_is_cut_off_by_a_cancel() {
    let host = Host::new();
    let tasks = TaskTracker::new();
    for returns in [false, true] {
        let guest: Guest = if returns { Box::pin(async { Ok(None) }) } else { Box::pin(std::future::pending()) };
        let run = running(&host, guest, BodyFailure::default());
        let first = stream::iter([Ok::<_, Error>(Frame::data(Bytes::from_static(b"a")))]);
        let body: WasiBody = BodyExt::boxed_unsync(StreamBody::new(first.chain(stream::pending())));
        let delivery = Delivery { method: http::Method::GET, reader_stalled: None, tasks: &tasks };
        let answer = deliver(run, Response::new(body), delivery).await.unwrap();
        assert_eq!((host.only().stage, host.only().state()), (Stage::Streaming, "streaming"));
        host.cancel_only();
        assert_eq!(answer.into_body().collect().await.unwrap_err(), AnswerAborted { outcome: Outcome::Cancelled });
    }
    tasks.close();
    tasks.wait().await;
    host.is_whole(&[Outcome::Cancelled; 2]);
}

#[tokio::test]
async fn a_handler_that_works_on_after_its_answer_is_seen_and_ended() {
    let host = Host::new();
    let tasks = TaskTracker::new();
    let run = running(&host, Box::pin(std::future::pending()), BodyFailure::default());
    let body: WasiBody = BodyExt::boxed_unsync(Empty::<Bytes>::new().map_err(|never| -> Error { match never {} }));
    let delivery = Delivery { method: http::Method::GET, reader_stalled: None, tasks: &tasks };
    let answer = deliver(run, Response::new(body), delivery).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "");
    tokio::task::yield_now().await;
    assert_eq!((host.only().stage, host.only().state()), (Stage::WorkingOn, "working on"));
    host.cancel_only();
    tasks.close();
    tasks.wait().await;
    host.is_whole(&[Outcome::Cancelled]);
}

#[tokio::test]
async fn the_fuel_of_a_handler_that_computes_is_seen_to_grow() {
    let host = Host::new();
    let plugin = host.plugin(SPIN, brief(LONG));
    let watch = async {
        let mut seen = Vec::new();
        while seen.len() < 4 {
            let used = host.caller.roster().calls().first().map_or(0, |call| call.fuel_used);
            if seen.last() != Some(&used) {
                seen.push(used);
            }
            tokio::task::yield_now().await;
        }
        assert!(seen.is_sorted(), "{seen:?}");
    };
    let watch = tokio::time::timeout(LONG, watch);
    tokio::select! {
        ended = host.call(&plugin) => panic!("it computes for ever, and ended as {ended:?}"),
        watched = watch => watched.unwrap(),
    }
    host.is_whole(&[Outcome::ClientGone]);
}

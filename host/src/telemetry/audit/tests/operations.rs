//! What operations hear of the log, and what the log says of them.

use std::{pin::pin, time::Duration};

use futures::FutureExt;
use tokio::{
    task::{coop::unconstrained, yield_now},
    time::timeout,
};

use super::super::{Audit, Durability, Operation, Reclaim, Settings, Unavailable, WhenUnavailable, record::Line};
use super::{
    memory::{Memory, Plan},
    *,
};

const DONE: Outcome<'static> = Outcome { outcome: "done", code: None, rows: Some(1) };
const FULL: Plan = Plan { is_full: true, ..NOTHING };
const STALLED: Plan = Plan { is_stalled: true, ..NOTHING };
const NOTHING: Plan = Plan { fails_at: None, dies_at: None, dies_after: None, short: None, is_full: false, is_stalled: false };

fn audit(folder: &Memory, durability: Durability, when_unavailable: WhenUnavailable) -> Audit {
    let settings = Settings {
        durability,
        when_unavailable,
        retry_interval: Duration::from_millis(1),
        patience: Duration::from_millis(10),
        ..Settings::new("log".into(), key())
    };
    Audit::over(folder.clone(), "log", settings).unwrap()
}

async fn begin(audit: &Audit) -> Result<Operation, Unavailable> {
    let actor = Actor { request: "r1", plugin: "patients", digest: "3f", who: None };
    let statement = Statement { verb: "query", fingerprint: "9c", text: "SELECT $n" };
    let types = Types::default();
    audit.intent(&Request { actor, database: "clinic", statement, types: &types }).await
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("in time")
}

/// Asks until it is so.
async fn until(is_so: impl Fn() -> bool) {
    within(async {
        while !is_so() {
            yield_now().await;
        }
    })
    .await;
}

/// The report, and the kinds of all lines with the numbers of their operations.
fn read(folder: &Memory) -> (Report, Vec<(String, Option<u64>)>) {
    let texts = folder.texts();
    let report = verified(&key(), &[], texts.iter().map(|(name, text)| (name.as_str(), text.clone())));
    let lines = texts.iter().flat_map(|(_, text)| text.lines()).map(|line| serde_json::from_str::<Line>(line).unwrap());
    (report, lines.map(|line| (line.kind, line.op)).collect())
}

fn kinds(folder: &Memory) -> Vec<String> {
    read(folder).1.into_iter().map(|(kind, _)| kind).collect()
}

#[tokio::test]
async fn an_operation_begins_when_its_line_is_as_safe_as_was_decided() {
    for durability in Durability::ALL {
        let folder = Memory::default();
        let audit = audit(&folder, durability, WhenUnavailable::Refuse);
        let operation = begin(&audit).await.unwrap();
        let (written, synced) = (kinds(&folder.after_death()), kinds(&folder.after_power_loss()));
        assert!(durability == Durability::Queued || written == ["open", "start", "intent"], "{durability:?} {written:?}");
        assert!(durability != Durability::Synced || synced == ["open", "start", "intent"], "{durability:?} {synced:?}");
        operation.end(&DONE).await;
        let synced = kinds(&folder.after_power_loss());
        assert!(durability != Durability::Synced || synced.len() == 4, "{durability:?} {synced:?}");
        let head = audit.close().await.unwrap();
        let (report, lines) = read(&folder.after_power_loss());
        assert!(report.is_intact() && report.last == head && audit.status().head == head, "{report:?}");
        let kinds: Vec<&str> = lines.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["open", "start", "intent", "outcome", "close"], "{durability:?}");
        assert_eq!(lines[2].1, lines[3].1);
        assert_eq!(begin(&audit).await.err(), Some(Unavailable), "{durability:?}");
    }
}

#[tokio::test]
async fn what_is_written_is_on_the_disk_soon_after() {
    let folder = Memory::default();
    let settings = Settings { sync_interval: Duration::from_millis(1), ..Settings::new("log".into(), key()) };
    let audit = Audit::over(folder.clone(), "log", settings).unwrap();
    let operation = begin(&audit).await.unwrap();
    until(|| audit.status().head.seq == 3).await;
    assert_eq!(kinds(&folder.after_power_loss()), ["open", "start", "intent"]);
    operation.end(&DONE).await;
    audit.close().await.unwrap();
}

#[tokio::test]
async fn work_is_refused_without_the_log_and_comes_back_with_it() {
    for durability in [Durability::Written, Durability::Synced] {
        let folder = Memory::default();
        let audit = audit(&folder, durability, WhenUnavailable::Refuse);
        let under_way = begin(&audit).await.unwrap();
        folder.plan(FULL);
        assert_eq!(within(begin(&audit)).await.err(), Some(Unavailable));
        assert!(!audit.is_available() && audit.status().down.is_some());
        // What was done meanwhile waits for its line, and nobody waits for that.
        within(under_way.end(&DONE)).await;
        assert_eq!(within(begin(&audit)).await.err(), Some(Unavailable));
        assert_eq!(kinds(&folder), ["open", "start", "intent"]);
        folder.plan(NOTHING);
        until(|| audit.is_available()).await;
        within(begin(&audit)).await.unwrap().end(&DONE).await;
        audit.close().await.unwrap();
        let (report, _) = read(&folder);
        assert_eq!((report.is_intact(), report.unknown), (true, 0), "{report:?}");
        assert_eq!(kinds(&folder), ["open", "start", "intent", "outcome", "gap", "intent", "outcome", "close"]);
        assert_eq!(audit.status().lost, 0);
    }
}

#[tokio::test]
async fn work_goes_on_without_the_log_if_that_was_decided_and_the_log_says_what_is_not_in_it() {
    const OPERATIONS: usize = 3_000;
    let folder = Memory::default();
    let audit = audit(&folder, Durability::Written, WhenUnavailable::Continue);
    folder.plan(FULL);
    for _ in 0..OPERATIONS {
        within(begin(&audit)).await.unwrap().end(&DONE).await;
    }
    assert!(!audit.is_available());
    folder.plan(NOTHING);
    within(audit.close()).await.unwrap();
    let (report, lines) = read(&folder);
    let lost = audit.status().lost;
    // An attempt that was under way when the disk had room again says how many were lost by its beginning, and the next one the rest.
    let told = problems(&report).into_iter().map(|problem| match problem {
        Problem::Gap { lines } => lines,
        other => panic!("{other:?}"),
    });
    assert_eq!(told.sum::<u64>(), lost, "{report:?}");
    let said = lines.iter().filter(|(_, operation)| operation.is_some()).count();
    assert!(said >= 1_024 && said as u64 + lost == 2 * OPERATIONS as u64, "{said} {lost}");
}

#[tokio::test]
async fn an_operation_that_nobody_ends_was_abandoned() {
    let folder = Memory::default();
    let audit = audit(&folder, Durability::Written, WhenUnavailable::Refuse);
    drop(begin(&audit).await.unwrap());
    // Whoever waited for the line went away.
    folder.plan(STALLED);
    {
        let mut waiting = pin!(begin(&audit));
        assert!(waiting.as_mut().now_or_never().is_none());
    }
    folder.plan(NOTHING);
    within(audit.close()).await.unwrap();
    let (report, lines) = read(&folder);
    assert_eq!((report.is_intact(), report.unknown), (true, 0), "{report:?}");
    let kinds: Vec<_> = lines.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["open", "start", "intent", "outcome", "intent", "outcome", "close"]);
    let text = &folder.texts()[0].1;
    assert_eq!(text.matches("\"outcome\":\"abandoned\"").count(), 2, "{text}");
}

#[tokio::test]
async fn an_intent_that_was_refused_after_its_caller_left_has_its_outcome() {
    let folder = Memory::default();
    let audit = audit(&folder, Durability::Written, WhenUnavailable::Refuse);
    folder.plan(STALLED);
    {
        let mut waiting = pin!(begin(&audit));
        assert!(waiting.as_mut().now_or_never().is_none());
    }
    folder.plan(FULL);
    until(|| !audit.is_available()).await;
    folder.plan(NOTHING);
    until(|| audit.is_available()).await;
    within(audit.close()).await.unwrap();
    let (report, lines) = read(&folder);
    assert_eq!((report.is_intact(), report.unknown), (true, 0), "{report:?}");
    let of_operations: Vec<_> =
        lines.iter().filter(|(_, operation)| operation.is_some()).map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(of_operations, ["intent", "outcome"]);
}

#[tokio::test]
async fn a_disk_that_stalls_is_waited_for_by_a_bounded_number_of_lines() {
    let folder = Memory::default();
    let audit = audit(&folder, Durability::Queued, WhenUnavailable::Refuse);
    folder.plan(STALLED);
    let mut operations = Vec::new();
    // The runtime would have it make room for others now and then.
    while let Some(operation) = unconstrained(begin(&audit)).now_or_never() {
        operations.push(operation.unwrap());
    }
    assert_eq!(operations.len(), 1_024);
    assert!(audit.is_available());
    folder.plan(NOTHING);
    within(begin(&audit)).await.unwrap().end(&DONE).await;
    for operation in operations {
        operation.end(&DONE).await;
    }
    within(audit.close()).await.unwrap();
    let (report, lines) = read(&folder);
    assert_eq!((report.is_intact(), report.unknown, lines.len()), (true, 0, 3 + 2 * 1_025), "{report:?}");
}

#[tokio::test]
async fn a_disk_that_stalls_raises_the_alarm_where_work_goes_on() {
    let folder = Memory::default();
    let audit = audit(&folder, Durability::Written, WhenUnavailable::Continue);
    folder.plan(STALLED);
    within(begin(&audit)).await.unwrap().end(&DONE).await;
    assert!(!audit.is_available());
    folder.plan(NOTHING);
    until(|| audit.is_available()).await;
    within(audit.close()).await.unwrap();
    let (report, _) = read(&folder);
    assert_eq!((report.is_intact(), report.unknown, audit.status().lost), (true, 0, 0), "{report:?}");
}

#[tokio::test]
async fn a_disk_that_does_not_answer_is_one_that_cannot_be_written() {
    let folder = Memory::default();
    let settings = Settings { stall: Duration::from_millis(10), ..Settings::new("log".into(), key()) };
    let audit = Audit::over(folder.clone(), "log", settings).unwrap();
    folder.plan(STALLED);
    let mut waiting = pin!(begin(&audit));
    assert!(waiting.as_mut().now_or_never().is_none());
    until(|| !audit.is_available()).await;
    assert!(audit.status().down.is_some_and(|down| down.why.contains("not answered")));
    // Nobody else waits for it.
    assert_eq!(begin(&audit).now_or_never().unwrap().err(), Some(Unavailable));
    folder.plan(NOTHING);
    within(waiting).await.unwrap().end(&DONE).await;
    until(|| audit.is_available()).await;
    within(audit.close()).await.unwrap();
    let (report, lines) = read(&folder);
    assert_eq!((report.is_intact(), report.unknown, lines.len()), (true, 0, 5), "{report:?}");
}

#[tokio::test]
async fn refusals_and_reclaims_have_one_line_each() {
    let folder = Memory::default();
    let audit = audit(&folder, Durability::Synced, WhenUnavailable::Refuse);
    let actor = Actor { request: "r1", plugin: "patients", digest: "3f", who: None };
    let types = Types::default();
    let request = Request { actor, database: "clinic", statement: Statement::default(), types: &types };
    audit.refused(&request, &Outcome { outcome: "denied", code: None, rows: None }).await.unwrap();
    audit.reclaimed(Reclaim { actor, database: "clinic", reason: "trapped", step: "killed" });
    folder.plan(FULL);
    assert_eq!(within(audit.refused(&request, &DONE)).await, Err(Unavailable));
    folder.plan(NOTHING);
    within(audit.close()).await.unwrap();
    let mut kinds = kinds(&folder);
    // Whether it was down long enough for a line of its own is not to be known.
    kinds.retain(|kind| kind != "gap");
    assert_eq!(kinds, ["open", "start", "refused", "reclaim", "close"]);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_at_the_end_says_so() {
    let folder = Memory::default();
    let audit = audit(&folder, Durability::Written, WhenUnavailable::Refuse);
    let operation = begin(&audit).await.unwrap();
    folder.plan(FULL);
    operation.end(&DONE).await;
    assert!(within(audit.close()).await.unwrap_err().lines >= 1);
    // The next host finds a log that is whole.
    folder.plan(NOTHING);
    let audit = self::audit(&folder, Durability::Written, WhenUnavailable::Refuse);
    within(audit.close()).await.unwrap();
    let (report, _) = read(&folder);
    assert_eq!((report.is_intact(), report.unknown, report.unclean_starts), (true, 1, 1), "{report:?}");
}

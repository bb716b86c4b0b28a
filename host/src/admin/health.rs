//! Whether the host is alive, and whether it is ready for requests: what orchestrators ask.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    Phase, ago, json,
    subjects::{Subjects, Watched},
    time,
};
use crate::{pool::View, shards::Shards, sync};

/// What has not gone on for so long is held up: what a guest or a driver does in one turn takes milliseconds, and whoever waits has said how long.
const HELD_UP: Duration = Duration::from_secs(10);

/// What there is to know.
pub(super) struct Health {
    shards: Shards,
    unready_after: sync::Live<Duration>,
    /// What the host is at, and since when.
    state: Mutex<(Phase, Instant)>,
}

#[derive(Serialize)]
struct Live {
    live: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
}

/// Whether requests are answered, and else why not.
#[derive(Serialize)]
pub(super) struct Ready {
    ready: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
}

/// Why not.
#[derive(Serialize)]
struct Reason {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    since: String,
}

impl Health {
    pub(super) fn new(unready_after: Duration, shards: Shards) -> Self {
        Self {
            shards,
            unready_after: sync::Live::from_pointee(unready_after),
            state: Mutex::new((Phase::Starting, Instant::now())),
        }
    }

    pub(super) fn set_unready_after(&self, unready_after: Duration) {
        self.unready_after.store(Arc::new(unready_after));
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        *self.state() = (phase, Instant::now());
    }

    /// 200 unless something is held up that only another process can bring back. The runtime that steals work lives: this is its answer.
    pub(super) fn live(&self, databases: &[Watched]) -> Response<Bytes> {
        let reasons = self.held_up(databases, std::time::Instant::now());
        json(status(&reasons), &Live { live: reasons.is_empty(), reasons })
    }

    /// Whether [`Self::live`] would be 200 at this moment.
    pub(super) fn is_live(&self, databases: &[Watched], now: std::time::Instant) -> bool {
        self.held_up(databases, now).is_empty()
    }

    fn held_up(&self, databases: &[Watched], now: std::time::Instant) -> Vec<Reason> {
        let shards = ("shard-held-up", None, self.shards.overdue(now));
        let upkeep = databases
            .iter()
            .map(|Watched { database, .. }| ("upkeep-held-up", Some(database.name().to_string()), database.upkeep_overdue(now)));
        let overdue = std::iter::once(shards).chain(upkeep).filter(|(_, _, overdue)| *overdue >= HELD_UP);
        overdue.map(|(code, database, overdue)| Reason { code, database, since: ago(overdue) }).collect()
    }

    /// 200 while the host is ready.
    pub(super) fn ready(&self, subjects: &Subjects) -> Response<Bytes> {
        let readiness = self.readiness(subjects);
        json(status(&readiness.reasons), &readiness)
    }

    /// It is ready while requests are answered and every required database is up, and not paused, and what they are asked can be audited.
    pub(super) fn readiness(&self, Subjects { databases, audit, .. }: &Subjects) -> Ready {
        let (phase, since) = *self.state();
        let code = match phase {
            Phase::Starting => Some("starting"),
            Phase::Serving => None,
            Phase::Draining => Some("draining"),
        };
        let mut reasons: Vec<Reason> =
            code.map(|code| Reason { code, database: None, since: ago(since.elapsed()) }).into_iter().collect();
        for Watched { database, .. } in databases.iter().filter(|watched| watched.required) {
            let View { down, paused, .. } = database.view();
            let down = down.filter(|down| *down >= **self.unready_after.load());
            for (code, since) in [("database-down", down), ("pool-drained", paused)] {
                let database = Some(database.name().to_string());
                reasons.extend(since.map(|since| Reason { code, database, since: ago(since) }));
            }
        }
        let unaudited = audit.as_ref().filter(|audit| audit.refuses()).and_then(|audit| audit.status().down);
        reasons.extend(unaudited.map(|down| Reason { code: "audit-unavailable", database: None, since: time(&down.since) }));
        Ready { ready: reasons.is_empty(), reasons }
    }

    fn state(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status(reasons: &[Reason]) -> StatusCode {
    if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value as Json, json};

    use super::*;

    fn told(response: &Response<Bytes>) -> (u16, Json) {
        let mut document: Json = serde_json::from_slice(response.body()).unwrap();
        for reason in document.get_mut("reasons").and_then(Json::as_array_mut).into_iter().flatten() {
            let since = reason["since"].take();
            let since: Timestamp = since.as_str().unwrap().parse().unwrap();
            assert!(since.as_second() <= Timestamp::now().as_second() + 1, "{since}");
            reason["since"] = "then".into();
        }
        (response.status().as_u16(), document)
    }

    #[test]
    fn a_host_is_ready_while_it_serves() {
        let health = Health::new(Duration::ZERO, Shards::default());
        let not = |code: &str| (503, json!({ "ready": false, "reasons": [{ "code": code, "since": "then" }] }));
        assert_eq!(told(&health.ready(&Subjects::default())), not("starting"));
        health.set_phase(Phase::Serving);
        assert_eq!(told(&health.ready(&Subjects::default())), (200, json!({ "ready": true })));
        health.set_phase(Phase::Draining);
        assert_eq!(told(&health.ready(&Subjects::default())), not("draining"));
    }

    #[test]
    fn a_host_is_live_unless_a_shard_is_held_up() {
        assert_eq!(told(&Health::new(Duration::ZERO, Shards::default()).live(&[])), (200, json!({ "live": true })));
        let (shards, threads) = Shards::start(1).unwrap();
        let health = Health::new(Duration::ZERO, shards);
        let now = std::time::Instant::now();
        assert!(health.is_live(&[], now));
        // Nothing that beats later is there by then.
        let much_later = now + Duration::from_secs(60 * 60);
        let reasons = health.held_up(&[], much_later);
        assert_eq!(reasons.iter().map(|reason| reason.code).collect::<Vec<_>>(), ["shard-held-up"]);
        assert!(!health.is_live(&[], much_later));
        threads.stop(Duration::from_secs(60));
    }
}

//! Whether the host is alive, and whether it is ready for requests: what orchestrators ask.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use tokio::time::Instant;

use super::{Phase, ago, json, subjects::Watched};
use crate::{pool::View, shards::Shards, sync::Live};

/// A shard that has not gone on for so long is held up: what a guest or a driver does in one turn takes milliseconds.
const HELD_UP: Duration = Duration::from_secs(10);

/// What there is to know.
pub(super) struct Health {
    shards: Shards,
    unready_after: Live<Duration>,
    /// What the host is at, and since when.
    state: Mutex<(Phase, Instant)>,
}

#[derive(Serialize)]
struct Live {
    live: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct Ready {
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
        Self { shards, unready_after: Live::from_pointee(unready_after), state: Mutex::new((Phase::Starting, Instant::now())) }
    }

    pub(super) fn set_unready_after(&self, unready_after: Duration) {
        self.unready_after.store(Arc::new(unready_after));
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        *self.state() = (phase, Instant::now());
    }

    /// 200 unless a shard is held up. The runtime that steals work lives: this is its answer.
    pub(super) fn live(&self) -> Response<Bytes> {
        live(self.shards.silence(std::time::Instant::now()))
    }

    /// 200 while requests are answered and every required database is up, and not paused.
    pub(super) fn ready(&self, databases: &[Watched]) -> Response<Bytes> {
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
        json(status(&reasons), &Ready { ready: reasons.is_empty(), reasons })
    }

    fn state(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn live(silence: Duration) -> Response<Bytes> {
    let reason = (silence >= HELD_UP).then(|| Reason { code: "shard-held-up", database: None, since: ago(silence) });
    let reasons: Vec<Reason> = reason.into_iter().collect();
    json(status(&reasons), &Live { live: reasons.is_empty(), reasons })
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
        assert_eq!(told(&health.ready(&[])), not("starting"));
        health.set_phase(Phase::Serving);
        assert_eq!(told(&health.ready(&[])), (200, json!({ "ready": true })));
        health.set_phase(Phase::Draining);
        assert_eq!(told(&health.ready(&[])), not("draining"));
    }

    #[test]
    fn a_host_is_alive_unless_a_shard_is_held_up() {
        assert_eq!(told(&Health::new(Duration::ZERO, Shards::default()).live()), (200, json!({ "live": true })));
        assert_eq!(told(&live(HELD_UP - Duration::from_millis(1))), (200, json!({ "live": true })));
        let held_up = json!({ "live": false, "reasons": [{ "code": "shard-held-up", "since": "then" }] });
        assert_eq!(told(&live(HELD_UP)), (503, held_up));
    }
}

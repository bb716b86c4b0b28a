//! Whether the host is alive, and whether it is ready for requests: what orchestrators ask.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::{Phase, json};
use crate::{pool::Database, shards::Shards};

/// A shard that has not gone on for so long is held up: what a guest or a driver does in one turn takes milliseconds.
const HELD_UP: Duration = Duration::from_secs(10);

/// What there is to know.
pub(super) struct Health {
    shards: Shards,
    unready_after: Duration,
    /// Held for no longer than it takes to copy it.
    state: Mutex<State>,
}

#[derive(Clone)]
struct State {
    phase: Phase,
    since: Instant,
    required: Arc<[Database]>,
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
        let state = State { phase: Phase::Starting, since: Instant::now(), required: Arc::default() };
        Self { shards, unready_after, state: Mutex::new(state) }
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        let mut state = self.state();
        (state.phase, state.since) = (phase, Instant::now());
    }

    pub(super) fn require(&self, databases: Vec<Database>) {
        self.state().required = databases.into();
    }

    /// 200 unless a shard is held up. The runtime that steals work lives: this is its answer.
    pub(super) fn live(&self) -> Response<Bytes> {
        live(self.shards.silence(std::time::Instant::now()))
    }

    /// 200 while requests are answered and every required database is up.
    pub(super) fn ready(&self) -> Response<Bytes> {
        let State { phase, since, required } = self.state().clone();
        let code = match phase {
            Phase::Starting => Some("starting"),
            Phase::Serving => None,
            Phase::Draining => Some("draining"),
        };
        let mut reasons: Vec<Reason> =
            code.map(|code| Reason { code, database: None, since: ago(since.elapsed()) }).into_iter().collect();
        for database in required.iter() {
            let down = database.down_since().map(|since| since.elapsed());
            if let Some(down) = down.filter(|down| *down >= self.unready_after) {
                reasons.push(Reason { code: "database-down", database: Some(database.name().to_string()), since: ago(down) });
            }
        }
        json(status(&reasons), &Ready { ready: reasons.is_empty(), reasons })
    }

    fn state(&self) -> MutexGuard<'_, State> {
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

/// The time of day that was so long ago, in UTC.
fn ago(duration: Duration) -> String {
    let at = SystemTime::now().checked_sub(duration).and_then(|at| Timestamp::try_from(at).ok());
    // A clock outside of the years that can be written.
    at.map_or_else(String::new, |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
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
        assert_eq!(told(&health.ready()), not("starting"));
        health.set_phase(Phase::Serving);
        assert_eq!(told(&health.ready()), (200, json!({ "ready": true })));
        health.set_phase(Phase::Draining);
        assert_eq!(told(&health.ready()), not("draining"));
    }

    #[test]
    fn a_host_is_alive_unless_a_shard_is_held_up() {
        assert_eq!(told(&Health::new(Duration::ZERO, Shards::default()).live()), (200, json!({ "live": true })));
        assert_eq!(told(&live(HELD_UP - Duration::from_millis(1))), (200, json!({ "live": true })));
        let held_up = json!({ "live": false, "reasons": [{ "code": "shard-held-up", "since": "then" }] });
        assert_eq!(told(&live(HELD_UP)), (503, held_up));
    }
}

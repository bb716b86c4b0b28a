//! The calls that run, and the connections that they hold.

use serde::Serialize;

use super::{millis, subjects::Subjects};
use crate::{call::CallView, pool::LeaseView};

/// All calls, the oldest first.
#[derive(Serialize)]
pub(super) struct Calls {
    calls: Vec<Call>,
}

/// One call.
#[derive(Serialize)]
pub(super) struct Call {
    id: u64,
    plugin: String,
    request_id: String,
    state: &'static str,
    age_ms: u64,
    fuel_used: u64,
    waits_for: Vec<String>,
    leases: Vec<Lease>,
}

#[derive(Serialize)]
struct Lease {
    database: String,
    session: Option<i64>,
    state: &'static str,
    age_ms: u64,
    statement: Option<String>,
}

impl Calls {
    pub(super) fn of(subjects: &Subjects) -> Self {
        Self { calls: subjects.calls().into_iter().map(Call::of).collect() }
    }
}

impl Call {
    pub(super) fn of(call: CallView) -> Self {
        Self {
            id: call.number,
            state: call.state(),
            plugin: call.plugin.to_string(),
            request_id: call.request_id.to_string(),
            age_ms: millis(call.age),
            fuel_used: call.fuel_used,
            waits_for: call.waits_for.iter().map(ToString::to_string).collect(),
            leases: call.leases.into_iter().map(Lease::of).collect(),
        }
    }
}

impl Lease {
    fn of(LeaseView { database, session, state, statement, age }: LeaseView) -> Self {
        let session = session.map(|session| session.id);
        Self { database: database.to_string(), session, state, age_ms: millis(age), statement }
    }
}

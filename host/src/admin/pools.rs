//! How the databases are: who holds what, what was taken back and why, and what went wrong.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    ago, millis,
    subjects::{Served, Subjects, Watched},
    time,
};
use crate::{
    driver::settings::Access,
    lease::Grant,
    pool::{Bounds, Counter, Counts, Database, HostCapacity, Reclaim, ShareView, Tally, Trouble, View},
    telemetry::audit::{Down, Head, Status},
};

/// Reclaims that are told one by one.
const SHOWN_RECLAIMS: usize = 20;

/// All databases of a host.
#[derive(Serialize)]
pub(super) struct Pools {
    /// Connections that there are, of those that there may be: `7/50`.
    active: String,
    used: u32,
    max: u32,
    databases: Vec<Pool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<Audited>,
}

/// The audit log, where one is kept.
#[derive(Serialize)]
struct Audited {
    head: Head,
    available: bool,
    down_since: Option<String>,
    why: Option<String>,
    failures: u64,
    lost_lines: u64,
}

/// One database with all its pools.
#[derive(Serialize)]
pub(super) struct Pool {
    name: String,
    engine: &'static str,
    state: &'static str,
    required: bool,
    last_generation: Option<u64>,
    down_since: Option<String>,
    control: &'static str,
    max: u32,
    target: u32,
    min: u32,
    connecting: u32,
    idle: u32,
    leased: u32,
    reclaiming: u32,
    unconfirmed: u32,
    waiters: usize,
    oldest_lease_ms: Option<u64>,
    longest_wait_ms: Option<u64>,
    counters: BTreeMap<&'static str, u64>,
    reclaimed: Vec<Reclaimed>,
    last_reclaims: Vec<LastReclaim>,
    last_errors: Vec<LastError>,
    bounds: BTreeMap<&'static str, u64>,
    plugins: Vec<PluginShare>,
}

#[derive(Serialize)]
struct Reclaimed {
    reason: &'static str,
    step: &'static str,
    since_start: u64,
    last_24h: u64,
}

#[derive(Serialize)]
struct LastReclaim {
    at: String,
    plugin: String,
    request_id: String,
    session: i64,
    reason: &'static str,
    step: &'static str,
    held_ms: u64,
    took_ms: u64,
}

#[derive(Serialize)]
struct LastError {
    at: String,
    first_at: String,
    times: u64,
    during: &'static str,
    kind: &'static str,
    code: Option<String>,
    message: String,
}

#[derive(Serialize)]
struct PluginShare {
    plugin: String,
    #[serde(flatten)]
    share: Share,
}

/// What a plugin has and may have of a database.
#[derive(Serialize)]
pub(super) struct Share {
    access: &'static str,
    max: u32,
    reserved: u32,
    leased: u32,
    waiting: usize,
}

impl Pools {
    pub(super) fn of(capacity: &HostCapacity, subjects: &Subjects) -> Self {
        let (used, max) = capacity.usage();
        let databases = subjects.databases.iter().map(|watched| Pool::of(watched, subjects)).collect();
        let audit = subjects.audit.as_ref().map(|audit| Audited::of(audit.status()));
        Self { active: format!("{used}/{max}"), used, max, databases, audit }
    }
}

impl Audited {
    fn of(Status { head, down, failures, lost }: Status) -> Self {
        let (down_since, why) = down.map(|Down { since, why }| (time(&since), why)).unzip();
        Self { head, available: why.is_none(), down_since, why, failures, lost_lines: lost }
    }
}

impl Pool {
    pub(super) fn of(Watched { database, required, last_generation }: &Watched, subjects: &Subjects) -> Self {
        let View { counts, max, target, paused, waiters, longest_wait, oldest_lease, control_down, down } = database.view();
        let state = match down {
            _ if paused.is_some() && counts.total() == 0 => "drained",
            _ if paused.is_some() => "draining",
            Some(_) => "down",
            None => "up",
        };
        let settings = database.settings();
        let Counts { connecting, idle, leased, reclaiming, unconfirmed } = counts;
        let counters = database.counters();
        let reclaims = database.reclaims(0);
        Self {
            name: database.name().to_string(),
            engine: database.engine().name(),
            state,
            required: *required,
            last_generation: *last_generation,
            down_since: down.map(ago),
            control: if control_down.is_some() { "down" } else { "up" },
            max,
            target,
            min: settings.min_connections,
            connecting,
            idle,
            leased,
            reclaiming,
            unconfirmed,
            waiters,
            oldest_lease_ms: oldest_lease.map(millis),
            longest_wait_ms: longest_wait.map(millis),
            counters: Counter::ALL.iter().map(|counter| (counter.name(), counters.get(*counter))).collect(),
            reclaimed: database.reclaimed().iter().map(Reclaimed::of).collect(),
            last_reclaims: reclaims.iter().rev().take(SHOWN_RECLAIMS).map(LastReclaim::of).collect(),
            last_errors: database.troubles().into_iter().map(LastError::of).collect(),
            bounds: bounds(settings.bounds),
            plugins: shares(database, &subjects.plugins),
        }
    }
}

impl Reclaimed {
    fn of(Tally { reason, step, since_start, last_24h }: &Tally) -> Self {
        Self { reason: reason.name(), step: step.name(), since_start: *since_start, last_24h: *last_24h }
    }
}

impl LastReclaim {
    fn of(Reclaim { at, borrower, session, reason, step, held, took, .. }: &Reclaim) -> Self {
        Self {
            at: ago(at.elapsed()),
            plugin: borrower.plugin.to_string(),
            request_id: borrower.request_id.to_string(),
            session: *session,
            reason: reason.name(),
            step: step.name(),
            held_ms: millis(*held),
            took_ms: millis(*took),
        }
    }
}

impl LastError {
    fn of(Trouble { first, last, times, during, kind, code, message }: Trouble) -> Self {
        Self {
            at: ago(last.elapsed()),
            first_at: ago(first.elapsed()),
            times,
            during: during.name(),
            kind: kind.name(),
            code,
            message,
        }
    }
}

impl Share {
    pub(super) fn of(grant: &Grant) -> Self {
        let access = match grant.access {
            Access::ReadOnly => "read-only",
            Access::ReadWrite => "read-write",
        };
        let ShareView { max, reserved, leased, waiting } = grant.granted.share();
        Self { access, max, reserved, leased, waiting }
    }
}

fn shares(database: &Database, plugins: &[Served]) -> Vec<PluginShare> {
    let grants = plugins.iter().flat_map(|Served { plugin, .. }| plugin.grants().iter().map(move |(_, grant)| (plugin, grant)));
    let of_database = grants.filter(|(_, grant)| grant.database.is(database));
    of_database.map(|(plugin, grant)| PluginShare { plugin: plugin.name().to_string(), share: Share::of(grant) }).collect()
}

/// How long each step of taking a connection back may last, by the name of its setting.
fn bounds(Bounds { cancel, settle, rollback, reset, close, kill, confirm }: Bounds) -> BTreeMap<&'static str, u64> {
    let all: [(&str, Duration); 7] = [
        ("cancel_ms", cancel),
        ("settle_ms", settle),
        ("rollback_ms", rollback),
        ("reset_ms", reset),
        ("close_ms", close),
        ("kill_ms", kill),
        ("confirm_ms", confirm),
    ];
    all.into_iter().map(|(name, bound)| (name, millis(bound))).collect()
}

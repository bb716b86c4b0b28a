//! The metrics of a host, all in one place: what OpenTelemetry has a name for goes by that name, everything else begins with `wharf_`.
//!
//! Labels are what is configured (databases, plugins, routes; of a database that leaves its last generation) or one of a few words, never what
//! a client or a handler chooses.

use std::sync::{Arc, atomic::Ordering};

use super::{
    Refusal,
    subjects::{Served, Subjects, Watched},
};
use crate::{
    call::Outcome,
    pool::{Counter, Counts, Database, HostCapacity, Settings, Tally, Timings, View},
    telemetry::{
        logs,
        metrics::{Cells, Histogram, Text},
        process::Process,
    },
};

/// What tells the metrics of one database from those of another.
const POOL: &str = "db_client_connection_pool_name";
const LAST_GENERATION: &str = "last_generation";
const STATE: &str = "db_client_connection_state";

/// Why somebody may not ask.
const DENIALS: [&str; 4] = ["misdirected", "cross-site", "no-token", "wrong-token"];

/// How often what was refused for it.
#[derive(Default)]
pub(super) struct Denied(Cells<{ DENIALS.len() }>);

impl Denied {
    pub(super) fn count(&self, refusal: &Refusal) {
        let place = match refusal {
            Refusal::Misdirected => 0,
            Refusal::CrossSite => 1,
            Refusal::NoToken => 2,
            Refusal::WrongToken => 3,
            // Whoever is told one of these may ask.
            Refusal::NoRoute
            | Refusal::NotFound(_)
            | Refusal::Conflict(_)
            | Refusal::TooManyViewers
            | Refusal::MethodNotAllowed(_)
            | Refusal::Malformed(_) => return,
        };
        self.0.add(place, 1);
    }
}

/// What becomes of a reload.
const RESULTS: [&str; 2] = ["done", "refused"];

/// How often that became of one.
#[derive(Default)]
pub(super) struct Reloads(Cells<{ RESULTS.len() }>);

impl Reloads {
    pub(super) fn count(&self, is_done: bool) {
        self.0.add(usize::from(!is_done), 1);
    }
}

/// All of them, as text.
pub(super) fn text(subjects: &Subjects, capacity: &HostCapacity, denied: &Denied, reloads: &Reloads) -> String {
    let mut text = Text::new();
    if let Some(requests) = &subjects.requests {
        requests.tell(&mut text);
    }
    if let Some(expires) = &subjects.certificate_expires {
        let help = "When the certificate that clients are shown expires, since 1970.";
        text.gauge("wharf_tls_certificate_expiry_seconds", help).number(&[], expires.load(Ordering::Relaxed));
    }
    calls(&mut text, &subjects.plugins);
    pools(&mut text, &subjects.databases);
    host(&mut text, capacity, denied);
    let waiting = subjects.gate.as_ref().map_or(0, |gate| gate.waiting());
    let help = "Calls that have a place of their plugin, and wait for one of the host: they count as running there.";
    text.gauge("wharf_host_calls_waiting", help).number(&[], waiting as u64);
    let lost = subjects.tracer.as_ref().map_or(0, |tracer| tracer.lost());
    let help = "Spans of traces beyond what may be sent in a second, or that nobody took in time.";
    text.counter("wharf_spans_dropped_total", help).number(&[], lost);
    if let Some(audit) = &subjects.audit {
        audit.status().tell(&mut text);
    }
    let mut numbers = text.counter("wharf_reloads_total", "Reloads of the configuration, by what became of them.");
    for (place, result) in RESULTS.into_iter().enumerate() {
        numbers.number(&[("result", result)], reloads.0.sum(place));
    }
    let mut generations = text.gauge("wharf_generation", "How often a configuration was put in force, the first one included.");
    generations.number(&[], subjects.generation);
    Process::now().tell(&mut text);
    text.finish()
}

fn host(text: &mut Text, capacity: &HostCapacity, denied: &Denied) {
    let (used, max) = capacity.usage();
    text.gauge("wharf_host_connections", "Connections of all databases together.").number(&[], used.into());
    text.gauge("wharf_host_connections_max", "Connections of all databases together, at most.").number(&[], max.into());
    text.gauge("wharf_build_info", "The host's version.").number(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let lost = logs::lost_lines();
    text.counter("wharf_log_lines_dropped_total", "Log lines that stderr did not take in time.").number(&[], lost);
    let mut numbers = text.counter("wharf_admin_denied_total", "Requests to the admin listener of who may not ask.");
    for (place, why) in DENIALS.into_iter().enumerate() {
        numbers.number(&[("reason", why)], denied.0.sum(place));
    }
}

/// A metric of one number for each: its name, its help, and where it is.
type Number<T> = (&'static str, &'static str, fn(&T) -> u64);
/// The same of a histogram.
type Durations<T> = (&'static str, &'static str, fn(&T) -> &Histogram);

const CALL_GAUGES: [Number<Served>; 4] = [
    ("wharf_calls_running", "Calls that have a place of their plugin, and run or wait for one of the host.", |it| {
        it.plugin.gate().running() as u64
    }),
    ("wharf_calls_waiting", "Calls that wait for a place of their plugin.", |it| it.plugin.gate().waiting() as u64),
    ("wharf_calls_max", "Calls that may run at once.", |it| it.plugin.gate().capacity() as u64),
    ("wharf_memory_peak_bytes", "Linear memory of the call that had most of it since the start.", |it| {
        it.plugin.stats().memory_peak()
    }),
];

const CALL_HISTOGRAMS: [Durations<Served>; 2] = [
    ("wharf_call_duration_seconds", "How long calls took that ran, their wait included.", |it| &it.plugin.stats().took),
    ("wharf_call_queue_seconds", "How long calls waited for admission, admitted or not.", |it| &it.plugin.stats().queued),
];

fn calls(text: &mut Text, plugins: &[Served]) {
    let mut numbers = text.counter("wharf_calls_total", "Calls that ended, by how.");
    for Served { plugin, .. } in plugins {
        for outcome in Outcome::ALL {
            let labels = [("plugin", &**plugin.name()), ("outcome", outcome.as_str())];
            numbers.number(&labels, outcome.count(plugin.stats()));
        }
    }
    let mut numbers = text.counter("wharf_fuel_used_total", "Fuel that calls used which have ended.");
    for Served { plugin, .. } in plugins {
        numbers.number(&[("plugin", &**plugin.name())], plugin.stats().fuel_used());
    }
    for (name, help, of) in CALL_GAUGES {
        let mut numbers = text.gauge(name, help);
        for served in plugins {
            numbers.number(&[("plugin", &**served.plugin.name())], of(served));
        }
    }
    for (name, help, of) in CALL_HISTOGRAMS {
        let mut durations = text.histogram(name, help);
        for served in plugins {
            durations.durations(&[("plugin", &**served.plugin.name())], of(served));
        }
    }
    let mut numbers = text.gauge("wharf_plugin_info", "The component that answers now, by the SHA-256 of its bytes.");
    for Served { plugin, .. } in plugins {
        let digest = plugin.digest().to_string();
        numbers.number(&[("plugin", &**plugin.name()), ("digest", digest.as_str())], 1);
    }
    let mut numbers = text.gauge("wharf_compile_seconds", "How long compiling and linking took, or finding it in the cache.");
    for Served { plugin, .. } in plugins {
        let micros = u64::try_from(plugin.compile_time().as_micros()).unwrap_or(u64::MAX);
        numbers.seconds(&[("plugin", &**plugin.name())], micros);
    }
}

/// A database as it is at one moment, for all metrics alike.
struct Seen {
    database: Database,
    view: View,
    settings: Arc<Settings>,
    /// Of one that leaves; tells it from another of its name.
    last_generation: Option<String>,
}

const POOL_GAUGES: [Number<Seen>; 8] = [
    ("db_client_connection_max", "Connections at most.", |it| it.view.max.into()),
    ("db_client_connection_idle_max", "Idle connections at most: as many as there may be.", |it| it.view.max.into()),
    ("db_client_connection_idle_min", "Connections that are kept open.", |it| it.settings.min_connections.into()),
    ("db_client_connection_pending_requests", "Calls that wait for a connection.", |it| it.view.waiters as u64),
    ("wharf_database_up", "Whether the database can be used.", |it| it.view.down.is_none().into()),
    ("wharf_database_paused", "Whether the operator has drained its pools.", |it| it.view.paused.is_some().into()),
    ("wharf_database_control_up", "Whether the control path answers, by which connections are taken back.", |it| {
        it.view.control_down.is_none().into()
    }),
    ("wharf_database_target", "Connections at most, once those that are too many have come free.", |it| it.view.target.into()),
];

const POOL_HISTOGRAMS: [Durations<Timings>; 3] = [
    ("db_client_connection_create_time_seconds", "How long it took to open sessions.", |it| &it.created),
    ("db_client_connection_wait_time_seconds", "How long calls waited for the connections that they were lent.", |it| &it.waited),
    ("db_client_connection_use_time_seconds", "From when connections were lent until they were taken back.", |it| &it.used),
];

impl Seen {
    fn of(Watched { database, last_generation, .. }: &Watched) -> Self {
        let last_generation = last_generation.map(|number| number.to_string());
        Self { database: database.clone(), view: database.view(), settings: database.settings(), last_generation }
    }

    /// What tells it from others, and what else there is.
    fn labels<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let last = self.last_generation.as_deref().map(|number| (LAST_GENERATION, number));
        [(POOL, &**self.database.name())].into_iter().chain(last).chain(more.iter().copied()).collect()
    }
}

fn pools(text: &mut Text, databases: &[Watched]) {
    let seen: Vec<Seen> = databases.iter().map(Seen::of).collect();
    let mut numbers = text.gauge("db_client_connection_count", "Connections, by what they are at.");
    for it in &seen {
        for (state, count) in states(it.view.counts) {
            numbers.number(&it.labels(&[(STATE, state)]), count.into());
        }
    }
    for (metric, help, of) in POOL_GAUGES {
        let mut numbers = text.gauge(metric, help);
        for it in &seen {
            numbers.number(&it.labels(&[]), of(it));
        }
    }
    let mut numbers = text.gauge("wharf_oldest_lease_seconds", "For how long the oldest lease has lasted; 0 without one.");
    for it in &seen {
        let micros = it.view.oldest_lease.map_or(0, |age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
        numbers.seconds(&it.labels(&[]), micros);
    }
    for (metric, help, of) in POOL_HISTOGRAMS {
        let mut durations = text.histogram(metric, help);
        for it in &seen {
            durations.durations(&it.labels(&[]), of(it.database.timings()));
        }
    }
    let mut durations = text.histogram("db_client_operation_duration_seconds", "How long operations took, without the wait.");
    for it in &seen {
        let labels = it.labels(&[("db_system_name", it.database.engine().system())]);
        it.database.timings().operations.tell(&mut durations, &labels);
    }
    let mut durations = text.histogram("wharf_reclaim_seconds", "How long it took to take back what was not given back clean.");
    for it in &seen {
        it.database.timings().reclaims.tell(&mut durations, &it.labels(&[]));
    }
    events(text, &seen);
}

/// What is counted of the databases.
fn events(text: &mut Text, seen: &[Seen]) {
    let help = "Connections that were taken back other than clean from their holders' hands, by why and how far the host went.";
    let mut numbers = text.counter("wharf_lease_reclaims_total", help);
    for it in seen {
        for Tally { reason, step, since_start, .. } in it.database.reclaimed() {
            numbers.number(&it.labels(&[("reason", reason.name()), ("step", step.name())]), since_start);
        }
    }
    let mut numbers = text.counter("db_client_connection_timeouts_total", "Waits that ended without a connection.");
    for it in seen {
        numbers.number(&it.labels(&[]), it.database.counters().get(Counter::WaitTimeouts));
    }
    let mut numbers = text.counter("wharf_pool_events_total", "What happened to connections besides.");
    for it in seen {
        // Those that time out have a metric of their own.
        for event in Counter::ALL.iter().filter(|event| **event != Counter::WaitTimeouts) {
            numbers.number(&it.labels(&[("event", event.name())]), it.database.counters().get(*event));
        }
    }
}

/// `idle` and `used` are OpenTelemetry's.
fn states(Counts { connecting, idle, leased, reclaiming, unconfirmed }: Counts) -> [(&'static str, u32); 5] {
    [("connecting", connecting), ("idle", idle), ("used", leased), ("reclaiming", reclaiming), ("unconfirmed", unconfirmed)]
}

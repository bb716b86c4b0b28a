//! What a host has, for who asks about it.

use std::sync::{Arc, atomic::AtomicU64};

use super::Refusal;
use crate::{
    call::{CallView, Roster},
    engine::Gate,
    plugin::Plugin,
    pool::Database,
    telemetry::{audit::Audit, requests::Requests, trace::Tracer},
};

/// What there is to tell about; replaced as a whole when it changes.
#[derive(Clone, Debug, Default)]
pub struct Subjects {
    /// In the order of the configuration, then those that leave.
    pub databases: Vec<Watched>,
    /// In the order of the configuration.
    pub plugins: Vec<Served>,
    /// The calls that run, once there can be any.
    pub calls: Option<Arc<Roster>>,
    /// The gate that calls pass behind that of their plugin, once there can be any.
    pub gate: Option<Arc<Gate>>,
    /// The audit log, if one is kept.
    pub audit: Option<Arc<Audit>>,
    /// The requests that come in, once any can.
    pub requests: Option<Arc<Requests>>,
    /// Who traces calls, if they are traced.
    pub tracer: Option<Arc<Tracer>>,
    /// When the certificate that clients are shown expires, in seconds since 1970; none without TLS.
    pub certificate_expires: Option<Arc<AtomicU64>>,
    /// The generation of the configuration that is in force; 0 before the first.
    pub generation: u64,
    /// Those before it of which calls run still.
    pub ending: Vec<u64>,
}

/// A database.
#[derive(Clone, Debug)]
pub struct Watched {
    /// It.
    pub database: Database,
    /// Whether the host is not ready while it is down.
    pub required: bool,
    /// The last generation that had it, if the one in force does not: it leaves, once the calls are over that came before. There may be
    /// another of its name in force.
    pub last_generation: Option<u64>,
}

/// A plugin.
#[derive(Clone, Debug)]
pub struct Served {
    /// It.
    pub plugin: Arc<Plugin>,
    /// As they are configured.
    pub routes: Vec<String>,
}

impl Subjects {
    /// The one of the configuration in force.
    pub(super) fn database(&self, name: &str) -> Result<&Watched, Refusal> {
        let mut in_force = self.databases.iter().filter(|watched| watched.last_generation.is_none());
        let found = in_force.find(|watched| &**watched.database.name() == name);
        found.ok_or(Refusal::NotFound("There is no database of this name."))
    }

    pub(super) fn calls(&self) -> Vec<CallView> {
        self.calls.iter().flat_map(|roster| roster.calls()).collect()
    }

    /// Ends a call by its number, or by its request id if no other has that; how it was before.
    pub(super) fn cancel(&self, id: &str) -> Result<CallView, Refusal> {
        let number: Option<u64> = id.parse().ok();
        let mut calls = self.calls();
        let found = match calls.iter().position(|call| Some(call.number) == number) {
            Some(found) => found,
            None => {
                let mut named = calls.iter().enumerate().filter(|(_, call)| &*call.request_id == id).map(|(place, _)| place);
                match (named.next(), named.next()) {
                    (Some(only), None) => only,
                    (Some(_), Some(_)) => {
                        return Err(Refusal::Conflict("Several calls have this request id; say which by its number."));
                    }
                    (None, _) => return Err(NO_CALL),
                }
            }
        };
        let call = calls.swap_remove(found);
        // It may have ended meanwhile.
        let is_running = self.calls.as_ref().is_some_and(|roster| roster.cancel(call.number));
        if is_running { Ok(call) } else { Err(NO_CALL) }
    }
}

const NO_CALL: Refusal = Refusal::NotFound("No call of this number or request id runs.");

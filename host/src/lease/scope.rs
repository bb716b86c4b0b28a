//! The scope of one call: its budgets, and the leases that end with it.

use std::sync::{
    Arc, OnceLock, PoisonError, Weak,
    atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Error, Grants, Life,
    audited::{self, Line},
    grant::Grant,
    handles::Database,
    held::Lease,
};
use crate::{
    driver::Operation,
    pool::{Borrower, End, Ended, LeaseView, Limit, Until},
    sync::{Mutex, MutexGuard},
    telemetry::{
        audit::Trail,
        timing::{Part, Timing},
        trace::Trace,
    },
};

/// Bytes of SQL and parameters that the operations of one call may have under way at once: as much as one host call may carry.
const MAX_IN_FLIGHT: usize = 16 << 20;

/// What an operation costs besides, so that the number of those under way has a bound, too.
const COST: usize = 1024;

/// Who a call is, for logs, limits and the operator's view.
#[derive(Clone, Debug)]
pub struct CallInfo {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// As accepted from the client or made by the server.
    pub request_id: Arc<str>,
    /// When the call's wall clock runs out; bounds every wait of the call.
    pub deadline: Instant,
    /// Where the audit log is asked for its lines, if one is kept.
    pub trail: Option<Arc<Trail>>,
}

/// What one call holds. Lives outside the Store; [`Scope::end`] ends it, whoever still has a clone of the `Arc`.
#[derive(Debug)]
pub struct Scope {
    call: CallInfo,
    life: Life,
    /// Where its spans belong, if it is traced.
    trace: Option<Trace>,
    grants: Arc<Grants>,
    /// For each grant, what of its budgets is used.
    used: Vec<Used>,
    /// Bytes of the operations that are under way.
    in_flight: AtomicUsize,
    /// The next number for a transaction or a cursor.
    numbers: AtomicU32,
    /// The leases that may be alive.
    leases: Mutex<Vec<Weak<Lease>>>,
    ended: OnceLock<End>,
    /// Fires when the scope ends, for those who wait for a connection.
    over: CancellationToken,
}

#[derive(Debug, Default)]
struct Used {
    statements: AtomicU32,
    connections: AtomicU32,
    /// How many wait for a connection now.
    waiting: AtomicU32,
    /// The audit log says that there was one statement too many, or too much under way. A guest may try until its deadline.
    told: Told,
    /// Requests that were refused before they were operations.
    refused: AtomicU32,
}

#[derive(Debug, Default)]
struct Told {
    statements: AtomicBool,
    in_flight: AtomicBool,
}

impl Scope {
    /// Starts the scope of a call.
    #[must_use]
    pub fn new(call: CallInfo, grants: Arc<Grants>) -> Arc<Self> {
        Self::watched(call, grants, None, None)
    }

    /// The same for a call that may be traced: then a span is made of each of its statements, and of each connection that is reclaimed. And it
    /// may tell what its time goes into.
    #[must_use]
    pub fn watched(call: CallInfo, grants: Arc<Grants>, trace: Option<Trace>, timing: Option<Arc<Timing>>) -> Arc<Self> {
        let used = (0..grants.len()).map(|_| Used::default()).collect();
        Arc::new(Self {
            call,
            life: Life::new(timing),
            trace,
            grants,
            used,
            in_flight: AtomicUsize::new(0),
            numbers: AtomicU32::new(1),
            leases: Mutex::default(),
            ended: OnceLock::new(),
            over: CancellationToken::new(),
        })
    }

    /// Who the call is.
    #[must_use]
    pub fn call(&self) -> &CallInfo {
        &self.call
    }

    /// What it has used, and where it stands.
    #[must_use]
    pub fn life(&self) -> &Life {
        &self.life
    }

    pub(super) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// The names of the grants for a connection of which it waits.
    #[must_use]
    pub fn waits_for(&self) -> Vec<Arc<str>> {
        let waits = self.used.iter().map(|used| used.waiting.load(Ordering::Relaxed) > 0);
        waits.enumerate().filter(|(_, waits)| *waits).map(|(grant, _)| Arc::clone(self.grants.name(grant))).collect()
    }

    /// The connections it has.
    #[must_use]
    pub fn leased(&self) -> Vec<LeaseView> {
        // Looked at outside the lock, where one whose last handle was dropped meanwhile may be dropped.
        let leases: Vec<Arc<Lease>> = self.leases().iter().filter_map(Weak::upgrade).collect();
        leases.iter().filter_map(|lease| lease.view()).collect()
    }

    /// Opens a database by the name of its grant: costs nothing, holds nothing.
    ///
    /// # Errors
    /// [`Error::NotGranted`].
    pub fn open(self: &Arc<Self>, name: &str) -> Result<Database, Error> {
        match self.grants.position(name) {
            Some(grant) => Ok(Database::new(Arc::clone(self), grant)),
            None => {
                let granted = self.grants.names().map(str::to_owned).collect();
                let error = Error::NotGranted { name: name.chars().take(64).collect(), granted };
                if let Some(trail) = &self.call.trail {
                    audited::stray(trail, name, &error);
                }
                Err(error)
            }
        }
    }

    /// Ends the scope: nothing can be acquired any more, and every lease is taken back by its slot. Does not wait, cannot fail, and
    /// counts only the first time.
    pub fn end(&self, end: End) {
        if self.ended.set(end).is_err() {
            return;
        }
        self.over.cancel();
        for lease in std::mem::take(&mut *self.leases()).iter().filter_map(Weak::upgrade) {
            lease.hold.release(Ended::CallEnded(end));
        }
    }

    /// Ends the scope because the operator wants the call to end, and wakes whoever runs it. Does not wait, cannot fail.
    pub fn cancel(&self) {
        // First, so that whoever sees that the scope has ended also sees why.
        self.life.cancel();
        self.end(End::Cancelled);
        self.life.wake();
    }

    pub(super) fn grant(&self, grant: usize) -> &Grant {
        self.grants.at(grant)
    }

    /// Counts an operation against the budgets of the call, before it waits for anything; then has the audit log say that it begins, before
    /// a connection is held for it, or which budget has no room for it, the first time that it has none.
    ///
    /// # Errors
    /// [`Error::Limit`] for one statement too many, and for more under way at once than [`MAX_IN_FLIGHT`]; [`Error::Audit`].
    pub(super) async fn admit(self: &Arc<Self>, grant: usize, operation: &Operation) -> Result<Admitted, Error> {
        let counted = self.count(grant, operation);
        let Some(trail) = &self.call.trail else {
            let in_flight = counted.map_err(|(error, _)| error)?;
            return Ok(Admitted { in_flight, line: Line::default() });
        };
        // On the heap, so that it takes no room in the calls of hosts without a log.
        match counted {
            Ok(in_flight) => {
                let line = Box::pin(audited::begin(self, trail, grant, operation)).await?;
                Ok(Admitted { in_flight, line })
            }
            Err((error, told)) => {
                if !told.swap(true, Ordering::Relaxed) {
                    Box::pin(audited::refuse(self, trail, grant, operation, &error)).await;
                }
                Err(error)
            }
        }
    }

    /// The same error, once the audit log says that a request about this collection is refused for it. It says so as often as the call may have
    /// statements.
    pub(super) async fn refuse(&self, grant: usize, collection: &str, error: Error) -> Error {
        let (refused, maximum) = (&self.used[grant].refused, self.grant(grant).max_statements);
        if let Some(trail) = &self.call.trail
            && up_to(refused, maximum)
        {
            Box::pin(audited::refuse_request(self, trail, grant, collection, &error)).await;
        }
        error
    }

    /// An error comes with whether the audit log tells of it.
    fn count<'a>(self: &'a Arc<Self>, grant: usize, operation: &Operation) -> Result<InFlight, (Error, &'a AtomicBool)> {
        let used = &self.used[grant];
        let bytes = COST + operation.bytes();
        // Made first: what it has added it takes off again, admitted or not.
        let in_flight = InFlight { scope: Arc::clone(self), bytes };
        let before = self.in_flight.fetch_add(bytes, Ordering::Relaxed);
        // One alone is as large as a host call may be.
        if before > 0 && before + bytes > MAX_IN_FLIGHT {
            let error = Error::Limit { limit: "bytes_in_flight", maximum: MAX_IN_FLIGHT as u64 };
            return Err((error, &used.told.in_flight));
        }
        if operation.is_statement() {
            let maximum = self.grant(grant).max_statements;
            if !up_to(&used.statements, maximum) {
                return Err((Error::Limit { limit: "max_statements", maximum: maximum.into() }, &used.told.statements));
            }
        }
        Ok(in_flight)
    }

    /// A number for a transaction or a cursor.
    pub(super) fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Until when a statement that starts now may run.
    pub(super) fn statement_until(&self, grant: usize) -> Until {
        let own = Instant::now() + self.grant(grant).database.statement_timeout();
        if self.call.deadline < own {
            Until { at: self.call.deadline, limit: Limit::Call }
        } else {
            Until { at: own, limit: Limit::Statement }
        }
    }

    /// Leases one connection, for one statement or to be held.
    ///
    /// # Errors
    /// [`Error::Limit`] at once when this call alone holds as many as the grant allows: waiting would be waiting for itself. Statements
    /// that run side by side do not count, since each gives its connection back by itself.
    pub(super) async fn lease(self: &Arc<Self>, grant: usize, purpose: Purpose) -> Result<Arc<Lease>, Error> {
        let Grant { database, granted, max_connections, .. } = self.grant(grant);
        let _timed = self.life.time(Part::Database);
        let counted = Counted::new(self, grant, purpose);
        if counted.before >= *max_connections {
            return Err(Error::Limit { limit: "max_connections", maximum: (*max_connections).into() });
        }
        let CallInfo { plugin, request_id, deadline, trail } = &self.call;
        let borrower = Borrower { plugin: Arc::clone(plugin), request_id: Arc::clone(request_id), trail: trail.clone() };
        let hold = tokio::select! {
            biased;
            // First, since mostly it need not wait, and then nobody need listen for the end; that is looked at below.
            hold = database.acquire(granted, borrower, *deadline) => hold.map_err(Error::Acquire)?,
            () = self.wait_for_end(grant) => return Err(self.over_error()),
        };
        if let Some(trace) = &self.trace {
            hold.trace(trace.clone());
        }
        let lease = Arc::new(Lease::new(hold, counted));
        let mut leases = self.leases();
        // The scope may have ended while the connection was handed over: then nobody else would take it back.
        if self.ended.get().is_some() {
            return Err(self.over_error());
        }
        leases.retain(|other| other.strong_count() > 0);
        leases.push(Arc::downgrade(&lease));
        Ok(lease)
    }

    /// Waits for the end of the scope, and counts as one who waits for a connection meanwhile.
    async fn wait_for_end(&self, grant: usize) {
        let _counted = Waiting::new(&self.used[grant].waiting);
        self.over.cancelled().await;
    }

    /// Fires when it has ended.
    pub(super) fn over(&self) -> &CancellationToken {
        &self.over
    }

    pub(super) fn over_error(&self) -> Error {
        Error::CallEnded(self.ended.get().copied().unwrap_or(End::ShuttingDown))
    }

    fn leases(&self) -> MutexGuard<'_, Vec<Weak<Lease>>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one more, unless there are as many as there may be.
fn up_to(count: &AtomicU32, maximum: u32) -> bool {
    let fits = count.fetch_add(1, Ordering::Relaxed) < maximum;
    if !fits {
        // Stays at the maximum, so that it cannot wrap.
        count.store(maximum, Ordering::Relaxed);
    }
    fits
}

/// What an operation has that has been counted, and of which the audit log says that it begins.
pub(super) struct Admitted {
    pub(super) in_flight: InFlight,
    pub(super) line: Line,
}

impl Admitted {
    /// The same error, once the audit log says that it kept the operation from being run.
    pub(super) async fn fail(self, error: Error) -> Error {
        drop(self.in_flight);
        self.line.end(Err(&error)).await;
        error
    }
}

/// An operation's share of what a call may have under way, until it is dropped.
pub(super) struct InFlight {
    scope: Arc<Scope>,
    bytes: usize,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.scope.in_flight.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// One who waits for a connection, until it is dropped.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection is leased for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// One statement, after which it is given back.
    Statement,
    /// A handle that the guest keeps.
    Hold,
}

/// A lease's share of the budget of its call: one connection that is held, until it is given back or dropped.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) scope: Arc<Scope>,
    pub(super) grant: usize,
    /// How many the call held before.
    before: u32,
    holds: AtomicBool,
}

impl Counted {
    fn new(scope: &Arc<Scope>, grant: usize, purpose: Purpose) -> Self {
        let added = u32::from(purpose == Purpose::Hold);
        let before = scope.used[grant].connections.fetch_add(added, Ordering::Relaxed);
        Self { scope: Arc::clone(scope), grant, before, holds: AtomicBool::new(added == 1) }
    }

    /// Ends the share; nothing happens the second time.
    pub(super) fn end(&self) {
        if self.holds.swap(false, Ordering::Relaxed) {
            self.scope.used[self.grant].connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.end();
    }
}

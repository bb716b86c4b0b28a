//! The future that is a call of a guest: it owns the Store, makes the instance or takes one that rested, and runs the handler.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::oneshot;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{I32Exit, WasiCtx};
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView};

use super::output::GuestOutput;
use super::running::outcome;
use crate::engine::{CallState, Limiter};
use crate::lease::{End, Scope};
use crate::plugin::{Handler, Limits, Plugin};
use crate::telemetry::timing::Part;

/// The guest's call. It ends with `Ok` when the handler and everything it started have returned, and gives the instance back if that may
/// serve another call. Dropping it drops the Store.
pub(super) type Guest = Pin<Box<dyn Future<Output = wasmtime::Result<Option<Instance>>> + Send>>;

/// What the handler answers: a response whose body comes while the guest runs on, or the error code it chose.
pub(super) type Head = Result<http::Response<WasiBody>, String>;

/// Units of fuel after which other tasks get their turn; about a millisecond of computing.
const FUEL_SLICE: u64 = 1_000_000;
/// Handles that all instances of a call have in their tables.
const MAX_COMPONENT_HANDLES: usize = 10_000;
/// Bytes a handler may pass to one host function: a document of the greatest length with all that goes with it, and one that is somewhat
/// longer, which is then refused with an error instead of a trap.
const HOSTCALL_BYTES: usize = 17 << 20;
/// Bytes a handler may ask of the random generator at once.
const RANDOM_BYTES: u64 = 1 << 20;

/// What a guest is given.
pub(super) struct Start {
    pub(super) plugin: Arc<Plugin>,
    pub(super) scope: Arc<Scope>,
    pub(super) request: http::Request<WasiBody>,
    /// Gets the answer's head.
    pub(super) head: oneshot::Sender<Head>,
    /// Resolves when the answer's last byte is handed over; only 0.3 handlers can see it.
    pub(super) sent: oneshot::Receiver<()>,
    /// One that has served calls of this plugin and rested since; otherwise a new one is made.
    pub(super) instance: Option<Instance>,
}

/// An instance in its Store, between two calls or in one.
pub(super) struct Instance {
    store: Store<CallState>,
    exports: Option<Exports>,
    /// How many calls it has begun to serve.
    calls: u32,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("calls", &self.calls).finish_non_exhaustive()
    }
}

/// What an instance exports, for the next call.
enum Exports {
    V02(Proxy),
    V03(Service),
}

/// A guest that has not begun: nothing is made before the first poll.
pub(super) fn start(start: Start) -> Guest {
    match start.plugin.handler().clone() {
        Handler::V02(handler) => Box::pin(run_02(handler, start)),
        Handler::V03(handler) => Box::pin(run_03(handler, start)),
    }
}

/// Makes an instance as a call would, in a Store of its own, and drops it again.
pub(super) async fn instantiate(plugin: &Arc<Plugin>, scope: Arc<Scope>) -> wasmtime::Result<()> {
    match plugin.handler() {
        Handler::V02(handler) => {
            let mut instance = Instance::begin(None, handler.engine(), plugin, scope)?;
            handler.instantiate_async(&mut instance.store).await.map(drop)
        }
        Handler::V03(handler) => {
            let mut instance = Instance::begin(None, handler.engine(), plugin, scope)?;
            handler.instantiate_async(&mut instance.store).await.map(drop)
        }
    }
}

async fn run_02(handler: ProxyPre<CallState>, start: Start) -> wasmtime::Result<Option<Instance>> {
    let Start { plugin, scope, request, head, instance, .. } = start;
    let made = scope.life().time(Part::Instance);
    let mut instance = Instance::begin(instance, handler.engine(), &plugin, scope)?;
    let store = &mut instance.store;
    let scheme = match request.uri().scheme_str() {
        Some("https") => Scheme::Https,
        _ => Scheme::Http,
    };
    let mut view = store.data_mut().http();
    let request = view.new_incoming_request(scheme, request)?;
    let outparam = view.new_response_outparam_from_callback(move |answer| {
        // The call may have ended in the meantime, and then nobody wants it.
        let _unwanted = head.send(answer.map_err(|code| format!("{code:?}")));
    })?;
    let proxy = match instance.exports.take() {
        Some(Exports::V02(proxy)) => proxy,
        _ => handler.instantiate_async(&mut *store).await?,
    };
    drop(made);
    let returned = proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, outparam).await;
    instance.end(returned, Exports::V02(proxy), &plugin)
}

async fn run_03(handler: ServicePre<CallState>, start: Start) -> wasmtime::Result<Option<Instance>> {
    let Start { plugin, scope, request, head, sent, instance } = start;
    let made = scope.life().time(Part::Instance);
    let mut instance = Instance::begin(instance, handler.engine(), &plugin, scope)?;
    let store = &mut instance.store;
    let (request, _body_read) = {
        let state = store.data_mut().http();
        Request::from_http(state.hooks, request)
    };
    let sent = async move { sent.await.map_err(|_| Error::ConnectionTerminated) };
    let service = match instance.exports.take() {
        Some(Exports::V03(service)) => service,
        _ => handler.instantiate_async(&mut *store).await?,
    };
    drop(made);
    let handle = &service;
    let ran = store
        .run_concurrent(async move |accessor| {
            let answer = match handle.handle(accessor, request).await? {
                Ok(response) => Ok(accessor.with(|mut access| response.into_http(&mut access, sent))?),
                Err(code) => Err(format!("{code:?}")),
            };
            let _unwanted = head.send(answer);
            // The body is still being written, and the handler may have work of its own after that.
            std::future::poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            Ok(())
        })
        .await;
    instance.end(ran.and_then(|ran: wasmtime::Result<()>| ran), Exports::V03(service), &plugin)
}

impl Instance {
    /// Begins a call, in an instance that rested or in a new Store. Everything that a call has to itself is made anew in either.
    fn begin(rested: Option<Self>, engine: &wasmtime::Engine, plugin: &Arc<Plugin>, scope: Arc<Scope>) -> wasmtime::Result<Self> {
        let Limits { fuel, memory, .. } = *plugin.limits();
        let request_id = Arc::clone(&scope.call().request_id);
        let wasi = {
            let plugin = Arc::clone(plugin);
            move || wasi(plugin, request_id)
        };
        let mut instance = match rested {
            Some(mut rested) => {
                rested.store.data_mut().renew(wasi, scope);
                rested
            }
            None => {
                let mut store = Store::new(engine, CallState::new(wasi, scope, Limiter::new(memory)));
                store.limiter(|state| state.limiter());
                store.fuel_async_yield_interval(Some(FUEL_SLICE))?;
                // Others have their turn at each tick; who looks at a call that computes sees how far it is.
                store.epoch_deadline_callback(|store| {
                    store.data().scope().life().set_fuel_left(store.get_fuel()?);
                    Ok(UpdateDeadline::Yield(1))
                });
                store.set_max_component_handles(MAX_COMPONENT_HANDLES);
                Self { store, exports: None, calls: 0 }
            }
        };
        instance.calls += 1;
        instance.store.set_fuel(fuel)?;
        instance.store.set_epoch_deadline(1);
        instance.store.set_hostcall_fuel(HOSTCALL_BYTES);
        Ok(instance)
    }

    /// Ends the call. Gives the instance back when it may serve another one: up to [`Limits::reuse`], and only after a clean return that left nothing
    /// behind. `exit(0)` is a way to return as well, but nobody can call after it.
    fn end(mut self, returned: wasmtime::Result<()>, exports: Exports, plugin: &Plugin) -> wasmtime::Result<Option<Self>> {
        if let Err(error) = returned {
            if matches!(error.downcast_ref(), Some(I32Exit(0))) {
                self.give_up(End::Returned);
                return Ok(None);
            }
            // The account says whether it was refused memory.
            self.account();
            self.give_up(outcome(&error, self.store.data().scope().life()).end());
            return Err(error);
        }
        if self.calls >= plugin.limits().reuse || !self.is_at_rest(plugin) {
            self.give_up(End::Returned);
            return Ok(None);
        }
        self.account();
        self.exports = Some(exports);
        Ok(Some(self))
    }

    /// Ends the scope before the Store is dropped, and with it all handles: what the guest has left is taken back from it, not given back by it.
    fn give_up(&self, end: End) {
        self.store.data().scope().end(end);
    }

    /// Whether nothing of the call is left: no handle, no task, no memory that was refused.
    fn is_at_rest(&mut self, plugin: &Plugin) -> bool {
        let tasks = if plugin.is_concurrent() { self.store.concurrent_state_table_size() } else { 0 };
        let state = self.store.data_mut();
        tasks == 0 && !state.limiter().refused() && state.rest()
    }

    /// Writes the account of the call that it serves, or has served last: what stands there then is the same.
    fn account(&mut self) {
        // Fails only when fuel is off, and it is on.
        let fuel_left = self.store.get_fuel().unwrap_or_default();
        let state = self.store.data_mut();
        let (peak, refused) = (state.limiter().peak_bytes() as u64, state.limiter().refused());
        let life = state.scope().life();
        life.set_fuel_left(fuel_left);
        life.set_memory(peak, refused);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.account();
    }
}

fn wasi(plugin: Arc<Plugin>, request_id: Arc<str>) -> WasiCtx {
    let mut wasi = WasiCtx::builder();
    wasi.stdout(GuestOutput::new(Arc::clone(&plugin), Arc::clone(&request_id), "stdout"));
    wasi.stderr(GuestOutput::new(plugin, request_id, "stderr"));
    wasi.max_random_size(RANDOM_BYTES);
    wasi.build()
}

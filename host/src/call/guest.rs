//! The future that is a guest's whole life: it owns the Store, makes the instance, and runs the handler.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi::{I32Exit, WasiCtx};
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView};

use super::output::GuestOutput;
use crate::engine::{CallState, Limiter};
use crate::lease::Scope;
use crate::plugin::{Handler, Plugin};

/// The guest's life. It ends with `Ok` when the handler and everything it started have returned. Dropping it drops the Store.
pub(super) type Guest = Pin<Box<dyn Future<Output = wasmtime::Result<()>> + Send>>;

/// What the handler answers: a response whose body comes while the guest runs on, or the error code it chose.
pub(super) type Head = Result<http::Response<WasiBody>, String>;

/// Units of fuel after which other tasks get their turn; about a millisecond of computing.
const FUEL_SLICE: u64 = 1_000_000;
/// Handles that all instances of a call have in their tables.
const MAX_COMPONENT_HANDLES: usize = 10_000;
/// Bytes a handler may pass to one host function.
const HOSTCALL_BYTES: usize = 16 << 20;
/// Bytes a handler may ask of the random generator at once.
const RANDOM_BYTES: u64 = 1 << 20;

/// What a guest has used; complete once its Store is gone.
#[derive(Debug)]
pub(super) struct Usage {
    fuel_left: AtomicU64,
    memory_peak: AtomicU64,
    refused_memory: AtomicBool,
}

impl Usage {
    /// The account of a guest that has not begun.
    pub(super) fn new(fuel: u64) -> Self {
        Self { fuel_left: fuel.into(), memory_peak: 0.into(), refused_memory: false.into() }
    }

    pub(super) fn fuel_left(&self) -> u64 {
        self.fuel_left.load(Ordering::Relaxed)
    }

    pub(super) fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Ordering::Relaxed)
    }

    pub(super) fn refused_memory(&self) -> bool {
        self.refused_memory.load(Ordering::Relaxed)
    }
}

/// What a guest is given.
pub(super) struct Start {
    pub(super) plugin: Arc<Plugin>,
    pub(super) scope: Arc<Scope>,
    pub(super) request: http::Request<WasiBody>,
    /// Gets the answer's head.
    pub(super) head: oneshot::Sender<Head>,
    /// Resolves when the answer's last byte is handed over; only 0.3 handlers can see it.
    pub(super) sent: oneshot::Receiver<()>,
    pub(super) usage: Arc<Usage>,
}

/// A guest that has not begun: nothing is made before the first poll.
pub(super) fn start(start: Start) -> Guest {
    match start.plugin.handler().clone() {
        Handler::V02(handler) => Box::pin(run_02(handler, start)),
        Handler::V03(handler) => Box::pin(run_03(handler, start)),
    }
}

async fn run_02(handler: ProxyPre<CallState>, start: Start) -> wasmtime::Result<()> {
    let Start { plugin, scope, request, head, usage, .. } = start;
    let mut life = Life::new(handler.engine(), plugin, scope, usage)?;
    let store = &mut life.store;
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
    let proxy: Proxy = handler.instantiate_async(&mut *store).await?;
    returned(proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, outparam).await)
}

async fn run_03(handler: ServicePre<CallState>, start: Start) -> wasmtime::Result<()> {
    let Start { plugin, scope, request, head, sent, usage } = start;
    let mut life = Life::new(handler.engine(), plugin, scope, usage)?;
    let store = &mut life.store;
    let (request, _body_read) = {
        let state = store.data_mut().http();
        Request::from_http(state.hooks, request)
    };
    let sent = async move { sent.await.map_err(|_| Error::ConnectionTerminated) };
    let service = handler.instantiate_async(&mut *store).await?;
    let ran = store
        .run_concurrent(async move |accessor| {
            let answer = match service.handle(accessor, request).await? {
                Ok(response) => Ok(accessor.with(|mut access| response.into_http(&mut access, sent))?),
                Err(code) => Err(format!("{code:?}")),
            };
            let _unwanted = head.send(answer);
            // The body is still being written, and the handler may have work of its own after that.
            std::future::poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            Ok(())
        })
        .await;
    returned(ran.and_then(|ran: wasmtime::Result<()>| ran))
}

/// `exit(0)` is a way to return.
fn returned(result: wasmtime::Result<()>) -> wasmtime::Result<()> {
    result.or_else(|error| match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(0)) => Ok(()),
        _ => Err(error),
    })
}

/// The Store, and the account of it that outlives it.
struct Life {
    store: Store<CallState>,
    usage: Arc<Usage>,
}

impl Life {
    fn new(engine: &wasmtime::Engine, plugin: Arc<Plugin>, scope: Arc<Scope>, usage: Arc<Usage>) -> wasmtime::Result<Self> {
        let request_id = Arc::clone(&scope.call().request_id);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(GuestOutput::new(Arc::clone(&plugin), Arc::clone(&request_id), "stdout"));
        wasi.stderr(GuestOutput::new(Arc::clone(&plugin), request_id, "stderr"));
        wasi.max_random_size(RANDOM_BYTES);
        let limits = plugin.limits();
        let mut store = Store::new(engine, CallState::new(wasi.build(), scope, Limiter::new(limits.memory)));
        store.limiter(|state| state.limiter());
        store.set_fuel(limits.fuel)?;
        store.fuel_async_yield_interval(Some(FUEL_SLICE))?;
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.set_max_component_handles(MAX_COMPONENT_HANDLES);
        Ok(Self { store, usage })
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // Fails only when fuel is off, and it is on.
        let fuel_left = self.store.get_fuel().unwrap_or_default();
        self.usage.fuel_left.store(fuel_left, Ordering::Relaxed);
        let limiter = self.store.data_mut().limiter();
        self.usage.memory_peak.store(limiter.peak_bytes() as u64, Ordering::Relaxed);
        self.usage.refused_memory.store(limiter.refused(), Ordering::Relaxed);
    }
}

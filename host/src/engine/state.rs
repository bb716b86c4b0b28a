//! The state of one Store: what the host's interfaces reach while a handler runs.

use std::cell::LazyCell;
use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};
use wasmtime_wasi_io::IoView;

use super::Limiter;
use crate::interface::{HasView, View};
use crate::lease::Scope;

/// Handles that the host keeps for one call: streams, headers, connections, cursors.
const MAX_HANDLES: usize = 4_096;
/// Bytes of all headers of one message, as they are in memory.
const MAX_FIELDS_BYTES: usize = 128 << 10;
/// Bytes that a handler may write to its answer at once.
const BODY_CHUNK_BYTES: usize = 64 << 10;
/// Writes to an answer that are buffered before the handler waits; with 4 KiB a blocking write, 64 KiB go without waiting.
const BODY_BUFFER_CHUNKS: usize = 15;

/// Makes the context of WASI, of which most handlers only want a clock, and many nothing.
type MakeWasi = Box<dyn FnOnce() -> WasiCtx + Send>;

/// The state of one Store.
pub struct CallState {
    /// Made when it is first asked for: it seeds generators of random numbers, which costs more than many a handler.
    wasi: LazyCell<WasiCtx, MakeWasi>,
    http: WasiHttpCtx,
    hooks: Hooks,
    table: ResourceTable,
    scope: Arc<Scope>,
    limiter: Limiter,
}

impl std::fmt::Debug for CallState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallState").field("scope", &self.scope).field("limiter", &self.limiter).finish_non_exhaustive()
    }
}

impl CallState {
    /// The state for one call. `wasi` is called when the handler first uses something of WASI besides streams and HTTP.
    #[must_use]
    pub fn new(wasi: impl FnOnce() -> WasiCtx + Send + 'static, scope: Arc<Scope>, limiter: Limiter) -> Self {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS_BYTES);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Self { wasi: LazyCell::new(Box::new(wasi)), http, hooks: Hooks, table, scope, limiter }
    }

    /// Forgets the call that has ended, whose last printed line is written by then; whether the handler has left no handle behind. Memory and
    /// its limit stay, as the instance does.
    pub fn rest(&mut self) -> bool {
        self.wasi = LazyCell::new(Box::new(|| WasiCtx::builder().build()));
        self.table.is_empty()
    }

    /// Makes the state of an instance that rested that of its next call.
    pub fn renew(&mut self, wasi: impl FnOnce() -> WasiCtx + Send + 'static, scope: Arc<Scope>) {
        self.wasi = LazyCell::new(Box::new(wasi));
        self.scope = scope;
    }

    /// The call's.
    #[must_use]
    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// The bounds on memory and tables.
    #[must_use]
    pub fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: LazyCell::force_mut(&mut self.wasi), table: &mut self.table }
    }
}

impl IoView for CallState {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiHttpView for CallState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

impl HasView for CallState {
    fn view(&mut self) -> View<'_> {
        View { scope: &self.scope, table: &mut self.table }
    }
}

struct Hooks;

type Sent = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for Hooks {
    // Outgoing requests are not linked; this answers for the trait alone.
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        BODY_BUFFER_CHUNKS
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }
}

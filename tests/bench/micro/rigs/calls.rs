//! Calls of a handler that says hello: the whole of a call but for HTTP, and beside it the bare instance.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::ensure;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wasmtime::Store;
use wasmtime_wasi::WasiCtx;
use wharf::{
    call::{Admission, CallMeta, Caller, RequestBodyError},
    engine::{Allocation, CallState, EngineSettings, Engines, Limiter},
    lease::{CallInfo, Grants, Scope},
    plugin::{self, Handler, Limits, Plugin},
};

use crate::told;

/// What the handler answers.
const ANSWER: &[u8] = b"hello";
/// Answers so.
const HELLO: &str = include_str!("hello.wat");

/// A host with one handler.
#[derive(Debug)]
pub struct Calls {
    engines: Engines,
    caller: Caller,
    plugin: Arc<Plugin>,
    request_id: Arc<str>,
}

impl Calls {
    /// Compiles the handler and links it. There is room for two instances: the count of instructions runs where address space is scarce.
    ///
    /// # Errors
    /// When there is no room for the pool of instances, without which something else would be measured.
    pub fn new() -> anyhow::Result<Self> {
        // No tick: when one comes is up to the clock.
        let settings = EngineSettings { max_instances: 2, epoch_period: Duration::from_secs(3_600), ..EngineSettings::default() };
        let engines = Engines::new(&settings)?;
        ensure!(engines.allocation() != Allocation::OnDemand, "no address space for a pool of two instances");
        let component = wat::parse_str(HELLO)?;
        let limits = Limits { fuel: 10_000_000_000, ..Limits::default() };
        let plugin = Arc::new(plugin::load(&engines, "hello", &component, limits, Arc::new(Grants::new(BTreeMap::new())))?);
        let admission = Admission::new(Arc::clone(engines.gate()), Duration::from_secs(1));
        let caller = Caller::new(admission, CancellationToken::new());
        Ok(Self { engines, caller, plugin, request_id: "0123456789abcdef".into() })
    }

    /// One call, to the last byte of its answer.
    ///
    /// # Errors
    /// When the answer is not the one expected.
    pub async fn call(&self) -> anyhow::Result<()> {
        let body = Empty::<Bytes>::new().map_err(|never| -> RequestBodyError { match never {} });
        let request = Request::get("/")
            .header(header::HOST, "localhost")
            .header(header::USER_AGENT, "micro")
            .header(header::ACCEPT, "*/*")
            .body(body)?;
        let meta = CallMeta {
            request_id: Arc::clone(&self.request_id),
            is_secure: false,
            trail: None,
            span: None,
            reader_stalled: None,
            timing: None,
        };
        let response = self.caller.call(Arc::clone(&self.plugin), request, meta).await?;
        ensure!(response.status() == StatusCode::OK, "{}", response.status());
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(body == ANSWER, "{body:?}");
        Ok(())
    }

    /// A Store with the least that may be in it, and an instance, made and dropped: what a call costs before anything is done for it.
    ///
    /// # Errors
    /// When it cannot be instantiated.
    pub async fn instantiate(&self) -> anyhow::Result<()> {
        let Handler::V02(handler) = self.plugin.handler() else { anyhow::bail!("a handler of 0.2") };
        let deadline = Instant::now() + Duration::from_secs(15);
        let call =
            CallInfo { plugin: Arc::clone(self.plugin.name()), request_id: Arc::clone(&self.request_id), deadline, trail: None };
        let scope = Scope::new(call, Arc::clone(self.plugin.grants()));
        let state = CallState::new(|| WasiCtx::builder().build(), scope, Limiter::new(self.plugin.limits().memory));
        let mut store = Store::new(self.engines.plain().engine(), state);
        store.set_fuel(self.plugin.limits().fuel).map_err(told)?;
        store.set_epoch_deadline(1);
        handler.instantiate_async(&mut store).await.map_err(told)?;
        Ok(())
    }
}

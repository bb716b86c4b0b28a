//! Links what the host offers, once for each engine; `offers` names the same things for people.
//!
//! No sockets and no outgoing requests. `wasi:filesystem` is linked because Rust's standard library imports it, but there are no
//! preopened folders, so nothing can be opened.

use wasmtime::Engine;
use wasmtime::component::Linker;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi::{p2, p3};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

use super::CallState;
use crate::interface;

type Result<T> = wasmtime::Result<T>;

/// Everything for WASI 0.2 components.
pub(super) fn plain(engine: &Engine) -> Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    wasi_02(&mut linker)?;
    interface::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// The same, and everything asynchronous. The 0.2 interfaces stay: the standard library of a 0.3 component still imports them.
pub(super) fn concurrent(engine: &Engine) -> Result<Linker<CallState>> {
    let mut linker = plain(engine)?;
    p3::cli::add_to_linker(&mut linker)?;
    p3::clocks::add_to_linker(&mut linker)?;
    p3::filesystem::add_to_linker(&mut linker)?;
    p3::random::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::bindings::http::types::add_to_linker::<CallState, WasiHttp>(&mut linker, CallState::http)?;
    interface::add_async_to_linker(&mut linker)?;
    Ok(linker)
}

fn wasi_02(linker: &mut Linker<CallState>) -> Result<()> {
    use p2::bindings::{cli, clocks, filesystem, random};
    // Not by `p2::add_to_linker_proxy_interfaces_async`, whose streams would have the whole context of WASI made for each call.
    wasmtime_wasi_io::add_to_linker_async(linker)?;
    clocks::wall_clock::add_to_linker::<CallState, WasiClocks>(linker, CallState::clocks)?;
    clocks::monotonic_clock::add_to_linker::<CallState, WasiClocks>(linker, CallState::clocks)?;
    random::random::add_to_linker::<CallState, WasiRandom>(linker, CallState::random)?;
    random::insecure::add_to_linker::<CallState, WasiRandom>(linker, CallState::random)?;
    random::insecure_seed::add_to_linker::<CallState, WasiRandom>(linker, CallState::random)?;
    cli::stdin::add_to_linker::<CallState, WasiCli>(linker, CallState::cli)?;
    cli::stdout::add_to_linker::<CallState, WasiCli>(linker, CallState::cli)?;
    cli::stderr::add_to_linker::<CallState, WasiCli>(linker, CallState::cli)?;
    cli::exit::add_to_linker::<CallState, WasiCli>(linker, CallState::cli)?;
    cli::environment::add_to_linker::<CallState, WasiCli>(linker, CallState::cli)?;
    cli::terminal_input::add_to_linker::<CallState, WasiCli>(linker, CallState::cli)?;
    cli::terminal_output::add_to_linker::<CallState, WasiCli>(linker, CallState::cli)?;
    cli::terminal_stdin::add_to_linker::<CallState, WasiCli>(linker, CallState::cli)?;
    cli::terminal_stdout::add_to_linker::<CallState, WasiCli>(linker, CallState::cli)?;
    cli::terminal_stderr::add_to_linker::<CallState, WasiCli>(linker, CallState::cli)?;
    filesystem::types::add_to_linker::<CallState, WasiFilesystem>(linker, CallState::filesystem)?;
    filesystem::preopens::add_to_linker::<CallState, WasiFilesystem>(linker, CallState::filesystem)?;
    let options = wasmtime_wasi_http::p2::bindings::LinkOptions::default();
    wasmtime_wasi_http::p2::bindings::http::types::add_to_linker::<CallState, WasiHttp>(
        linker,
        &(&options).into(),
        CallState::http,
    )?;
    Ok(())
}

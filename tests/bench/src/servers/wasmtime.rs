//! `wasmtime serve`, of the version that Wharf is built with.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use support::guests::{component, target_folder};

use super::{Announced, Server, tethered};

/// Starts it for a guest, with options of `wasmtime serve`.
///
/// # Errors
/// When it does not come to listen.
pub(crate) async fn start(guest: &str, options: &[&str]) -> Result<Server> {
    let binary = binary();
    ensure!(binary.is_file(), "{} is missing: run tests/bench/run, which installs it first", binary.display());
    let mut command = tethered(binary.as_os_str());
    // Its default address is the same for everybody. Rust's standard library imports `wasi:cli`, which Wharf offers and `serve` only
    // when told to.
    command.args(["serve", "--addr", "127.0.0.1:0", "-Scli"]).args(options).arg(component(guest));
    let folder = tempfile::Builder::new().prefix("wharf-bench-").tempdir()?;
    Server::start("wasmtime serve", command, Announced::Stderr("Serving HTTP on http://"), folder).await
}

/// Where `tests/bench/run` installs it.
pub(crate) fn binary() -> PathBuf {
    target_folder().join("bench/tools/bin/wasmtime")
}

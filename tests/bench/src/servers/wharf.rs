//! Wharf, as an operator runs it: the binary of the profile `dist` as `wharf up`, with a `wharf.toml` of the benchmark's.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use support::guests::{component, target_folder};

use super::{Announced, Server, tethered};

/// What is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Logging {
    /// What an operator gets who says nothing: `info`, with a line of JSON for each request, to a file.
    #[default]
    Default,
    /// Warnings and errors.
    Quiet,
}

/// Starts a host with a configuration, which is all of `wharf.toml` but where it listens, for traffic and for who asks how it is, and where compiled code is kept. Settings of
/// `[server]` are given by themselves.
///
/// # Errors
/// When it does not come to listen.
pub(crate) async fn start(server: &str, rest: &str, logging: Logging) -> Result<Server> {
    let folder = tempfile::Builder::new().prefix("wharf-bench-").tempdir()?;
    let cache = target_folder().join("bench/cache");
    let toml =
        format!("[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{server}\n[engine]\ncache = {cache:?}\n\n{rest}\n");
    std::fs::write(folder.path().join("wharf.toml"), toml)?;
    let binary = binary();
    ensure!(binary.is_file(), "{} is missing: run tests/bench/run, which builds it first", binary.display());
    let mut command = tethered(binary.as_os_str());
    command.arg("up").arg(folder.path()).env_remove("WHARF_LOG");
    if logging == Logging::Quiet {
        command.env("WHARF_LOG", "warn");
    }
    Server::start("wharf", command, Announced::Stdout("listening on http://"), folder).await
}

/// The table of a plugin that answers every path.
///
/// # Panics
/// When its guest is not built.
pub(crate) fn plugin(name: &str, guest: &str, settings: &str) -> String {
    let component = component(guest);
    format!("[plugins.{name}]\ncomponent = {component:?}\nroutes = [\"/\", \"/{{*rest}}\"]\n{settings}\n")
}

/// `WHARF_BIN`, or the binary that an operator would install.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("WHARF_BIN").map_or_else(|| target_folder().join("dist/wharf"), PathBuf::from)
}

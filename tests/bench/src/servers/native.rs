//! The native reference: `native`, the other binary of this package.

use anyhow::{Result, ensure};
use support::guests::target_folder;

use super::{Announced, Server, tethered};

/// Starts it with what it takes on its command line.
///
/// # Errors
/// When it does not come to listen.
pub(crate) async fn start(arguments: &[&str]) -> Result<Server> {
    let binary = target_folder().join("dist/native");
    ensure!(binary.is_file(), "{} is missing: run tests/bench/run, which builds it first", binary.display());
    let mut command = tethered(binary.as_os_str());
    command.args(arguments);
    let folder = tempfile::Builder::new().prefix("wharf-bench-").tempdir()?;
    Server::start("the native server", command, Announced::Stdout("listening on http://"), folder).await
}

//! `wharf up`: compiles what has a source, then serves until it is told to stop.

use std::path::Path;

use super::{Failure, Output, build};
use crate::config::{self, Diagnostics};

/// Reads the configuration, builds, and serves.
///
/// # Errors
/// [`Failure::Input`] before anything was started, [`Failure::Running`] afterwards.
pub(super) fn run(path: &Path, output: &Output) -> Result<(), Failure> {
    let config = config::load(path, &config::process_environment)?;
    build::build_plugins(&config, output)?;
    let mut diagnostics = Diagnostics::new(config.source.clone());
    config::check_components(&config, &mut diagnostics);
    if diagnostics.errors() > 0 {
        return Err(diagnostics.into());
    }
    Err(anyhow::anyhow!("not wired yet").into())
}

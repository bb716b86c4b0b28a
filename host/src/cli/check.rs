//! `wharf check`: says all that is wrong without starting.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::Context;

use super::{Failure, Output};
use crate::config::{self, Config, Diagnostics};

/// Reads the configuration, then lets `components` look at what it names; both add to one report.
///
/// # Errors
/// [`Failure::Input`] with everything that is wrong.
pub(super) fn run(path: &Path, output: &Output, components: impl FnOnce(&Config, &mut Diagnostics)) -> Result<(), Failure> {
    let config = config::load(path, &config::process_environment)?;
    let mut diagnostics = config::notes(&config);
    components(&config, &mut diagnostics);
    if diagnostics.errors() > 0 {
        return Err(diagnostics.into());
    }
    let warnings = diagnostics.render(output.color_on(&io::stderr()));
    io::stderr().write_all(warnings.as_bytes()).context("cannot write")?;
    let (plugins, databases) = (count(config.plugins.len(), "plugin"), count(config.databases.len(), "database"));
    writeln!(io::stdout(), "{}: no errors ({plugins}, {databases})", config.path.display()).context("cannot write")?;
    Ok(())
}

fn count(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

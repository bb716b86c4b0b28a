//! `wharf check`: says all that is wrong without starting.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::Context;

use super::{Failure, Output, start_logs};
use crate::{assembly, config};

/// Reads the configuration and looks at the components that it names, without running any; both add to one report.
///
/// # Errors
/// [`Failure::Input`] with everything that is wrong.
pub(super) fn run(path: &Path, output: &Output) -> Result<(), Failure> {
    let (config, mut diagnostics) = config::read(path, &config::process_environment)?;
    let _logs = start_logs(output, &config.log)?;
    config::notes(&config, &mut diagnostics);
    assembly::inspect(&config, &mut diagnostics).context("the engine cannot be made")?;
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

//! `wharf settings` and `wharf schema`: print what `wharf.toml` may say.

use std::io::{self, Write};

use anyhow::Context;

use super::Failure;
use crate::config;

/// Prints the page on all settings.
///
/// # Errors
/// [`Failure::Running`] when nobody reads it.
pub(super) fn settings() -> Result<(), Failure> {
    print(&config::settings_page())
}

/// Prints the JSON Schema.
///
/// # Errors
/// [`Failure::Running`] when nobody reads it.
pub(super) fn schema() -> Result<(), Failure> {
    print(&format!("{:#}\n", config::schema()))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write")?;
    Ok(())
}

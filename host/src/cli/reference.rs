//! `wharf settings` and `wharf schema`: print what `wharf.toml` may say.

use super::{Failure, print};
use crate::config;

/// Prints the page on all settings.
///
/// # Errors
/// [`Failure::Running`] when nobody reads it.
pub(super) fn settings() -> Result<(), Failure> {
    print(&config::settings_page()).map_err(Failure::Running)
}

/// Prints the JSON Schema.
///
/// # Errors
/// [`Failure::Running`] when nobody reads it.
pub(super) fn schema() -> Result<(), Failure> {
    print(&format!("{:#}\n", config::schema())).map_err(Failure::Running)
}

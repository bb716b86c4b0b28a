//! Tells on stderr how far a run is.

use std::io::{self, Write};

/// Says a line.
pub(crate) fn say(line: &str) {
    // Nobody who reads it is no reason to stop.
    let _ = writeln!(io::stderr(), "{line}");
}

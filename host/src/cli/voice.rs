//! What a running host says on stderr besides its log, such as what its stop came to: written by a thread of its own, so that whoever does
//! not read stderr holds up nothing.

use std::io::{self, Write};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder};

use crate::{assembly::Progress, telemetry::logs::LastLines};

/// Lines that wait to be written; further ones are dropped.
const MAX_LINES: usize = 1024;

/// Says lines. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Voice(NonBlocking);

impl Voice {
    /// A voice, and what waits for its last words when it is dropped.
    pub(super) fn start() -> (Self, LastLines) {
        let thread = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MAX_LINES).thread_name("wharf-voice");
        let (writer, guard) = thread.finish(io::stderr());
        (Self(writer), LastLines::new(guard))
    }
}

impl Progress for Voice {
    fn say(&self, line: &str) {
        // Never an error: what finds no room is dropped.
        drop(self.0.clone().write_all(format!("{line}\n").as_bytes()));
    }
}

//! What a handler prints, as log lines: bounded in length and in number.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::plugin::{LogLevel, LogLine, Plugin};

/// Bytes a handler may print at once.
const WRITE_BYTES: usize = 64 << 10;

/// stdout or stderr of one call. Never blocks and never fails; what exceeds the plugin's limits is dropped and counted, all of it dropped where
/// nobody wants it logged.
pub(super) struct GuestOutput(Arc<Mutex<Lines>>);

impl GuestOutput {
    pub(super) fn new(plugin: Arc<Plugin>, request_id: Arc<str>, stream: &'static str) -> Self {
        Self(Arc::new(Mutex::new(Lines { plugin, request_id, stream, line: Vec::new(), cut: false, suppressed: false })))
    }

    fn writer(&self) -> Writer {
        Writer(Arc::clone(&self.0))
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.writer())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.writer())
    }
}

struct Writer(Arc<Mutex<Lines>>);

impl Writer {
    fn push(&self, bytes: &[u8]) {
        // A half pushed line after a panic is still only text.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(WRITE_BYTES);
        self.push(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

impl Pollable for Writer {
    // Written out as `async_trait` would, which is no dependency of ours.
    fn ready<'a, 'b>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(std::future::ready(()))
    }
}

struct Lines {
    plugin: Arc<Plugin>,
    request_id: Arc<str>,
    stream: &'static str,
    line: Vec<u8>,
    cut: bool,
    suppressed: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        if self.plugin.limits().log < LogLevel::Info {
            return;
        }
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            let room = self.plugin.limits().log_line_bytes.saturating_sub(self.line.len());
            self.cut |= text.len() > room;
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                self.write();
            }
        }
    }

    fn write(&mut self) {
        match self.plugin.log_budget().line() {
            LogLine::Write { suppressed } => {
                self.tell(suppressed);
                let text = printable(&self.line);
                let mark = if self.cut { " [cut]" } else { "" };
                tracing::info!(
                    target: "guest",
                    plugin = %self.plugin.name(),
                    request_id = %self.request_id,
                    stream = self.stream,
                    "{text}{mark}"
                );
            }
            LogLine::Suppress => self.suppressed = true,
        }
        self.line.clear();
        self.cut = false;
    }

    fn tell(&self, suppressed: u64) {
        if suppressed > 0 {
            tracing::warn!(target: "guest", plugin = %self.plugin.name(), suppressed, "lines beyond log_lines_per_second were not logged");
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.write();
        }
        if self.suppressed {
            self.tell(self.plugin.log_budget().settle());
        }
    }
}

/// Text without control characters: a handler must not be able to move the operator's cursor or forge a line.
fn printable(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line)
        .chars()
        .map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_log() {
        assert_eq!(printable(b"a\x1b[31m\tb\r"), "a\u{fffd}[31m\tb");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
    }
}

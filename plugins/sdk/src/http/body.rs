//! Bodies that are written while they are sent, in WASI 0.2.

use std::io::{self, Write};

use crate::bindings::sync::wasi::http0_2_12::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};
use crate::bindings::sync::wasi::io::streams::{OutputStream, StreamError};
use crate::error::{Error, Result};
use crate::http::{Body, Response};

/// What writes a streaming body. Called once, after the handler has returned.
pub type BodyStream = Box<dyn FnOnce(&mut BodyWriter) -> Result<()>>;

/// How much is gathered before it is sent, unless the author flushes.
const BUFFER_BYTES: usize = 8 * 1024;

impl Response<BodyStream> {
    /// 200 with a body that `write` produces as it goes; move a cursor into it.
    ///
    /// Small writes are gathered until [`BodyWriter::flush`]. If `write` fails before anything was sent, the client gets a problem
    /// document; afterwards its answer is broken off, so that it cannot take the part for the whole.
    #[must_use]
    pub fn stream(content_type: impl Into<String>, write: impl FnOnce(&mut BodyWriter) -> Result<()> + 'static) -> Self {
        Self::with_body(content_type.into(), Body::Stream(Box::new(write)))
    }

    /// 200 with a body of these chunks, each sent as it comes.
    #[must_use]
    pub fn chunks<C: AsRef<[u8]>>(
        content_type: impl Into<String>,
        chunks: impl IntoIterator<Item = Result<C>, IntoIter: 'static> + 'static,
    ) -> Self {
        let chunks = chunks.into_iter();
        Self::stream(content_type, move |body| {
            for chunk in chunks {
                body.write_all(chunk?.as_ref())?;
                body.flush()?;
            }
            Ok(())
        })
    }
}

/// The place where a body is written to; use it through [`std::io::Write`].
#[derive(Debug)]
pub struct BodyWriter {
    buffer: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing has been sent, so the answer may still become another.
    Waiting(ResponseOutparam, OutgoingResponse),
    /// The stream is a child of the body and goes before it.
    Sending { stream: OutputStream, body: OutgoingBody },
    /// Broken off.
    Failed,
}

impl BodyWriter {
    pub(super) fn new(out: ResponseOutparam, response: OutgoingResponse) -> Self {
        Self { buffer: Vec::new(), state: State::Waiting(out, response) }
    }

    /// Sends what was gathered and ends the body.
    pub(super) fn finish(mut self) -> Result<()> {
        self.send_buffer()?;
        self.start()?;
        let State::Sending { stream, body } = self.state else { return Err(Error::Disconnected) };
        drop(stream);
        OutgoingBody::finish(body, None).map_err(|code| Error::other(format!("the response could not be finished: {code:?}")))
    }

    /// Gives the place of the answer back if nothing has been sent; otherwise breaks the answer off, which dropping the unfinished body
    /// does.
    pub(super) fn abandon(self) -> Option<ResponseOutparam> {
        match self.state {
            State::Waiting(out, _) => Some(out),
            State::Sending { .. } | State::Failed => None,
        }
    }

    /// Sends the head, unless it is out already.
    fn start(&mut self) -> Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Waiting(out, response) => {
                let body = response.body().map_err(|()| Error::other("the body has been taken already"))?;
                ResponseOutparam::set(out, Ok(response));
                let stream = body.write().map_err(|()| Error::other("the body has been taken already"))?;
                State::Sending { stream, body }
            }
            started => started,
        };
        Ok(())
    }

    fn send_buffer(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.send(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what the buffer has no room for.
    #[inline(never)]
    fn write_beyond(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send_buffer().map_err(io::Error::other)?;
        if bytes.len() > BUFFER_BYTES {
            return self.send(bytes).map_err(io::Error::other);
        }
        self.buffer.reserve_exact(BUFFER_BYTES);
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends bytes past the buffer, as fast as the host takes them.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.start()?;
        let State::Sending { stream, .. } = &self.state else { return Err(Error::Disconnected) };
        let lost = |error| match error {
            StreamError::Closed => Error::Disconnected,
            StreamError::LastOperationFailed(error) => Error::other(format!("writing the body: {}", error.to_debug_string())),
        };
        while !bytes.is_empty() {
            let permitted = usize::try_from(stream.check_write().map_err(lost)?).unwrap_or(usize::MAX);
            if permitted == 0 {
                stream.subscribe().block();
                continue;
            }
            let (now, later) = bytes.split_at(permitted.min(bytes.len()));
            stream.write(now).map_err(lost)?;
            bytes = later;
        }
        Ok(())
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    /// Serializers write a few bytes at a time, so that this is inlined and the rest is not.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.buffer.capacity() - self.buffer.len() {
            return self.write_beyond(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends what was gathered; the client has it as soon as the network takes it.
    fn flush(&mut self) -> io::Result<()> {
        self.send_buffer().map_err(io::Error::other)?;
        match &self.state {
            State::Sending { stream, .. } => stream.flush().map_err(|_| io::Error::other(Error::Disconnected)),
            State::Waiting(..) | State::Failed => Ok(()),
        }
    }
}

/// The head of an answer, not sent yet.
pub(super) fn head<S>(response: &Response<S>) -> Result<OutgoingResponse> {
    let fields =
        Fields::from_list(&response.wire_headers()).map_err(|error| Error::other(format!("a response header: {error}")))?;
    let head = OutgoingResponse::new(fields);
    head.set_status_code(response.status).map_err(|()| Error::other(format!("{} is no status", response.status)))?;
    Ok(head)
}

//! The world `handler` (WASI 0.2): bindings, requests, answers.

#[expect(missing_docs, reason = "generated; documented in wit/")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/worlds",
        world: "handler",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_plain_handler",
        default_bindings_module: "guests::plain::generated",
    });
}

/// What the bindings generator made.
pub mod generated {
    pub use super::bindings::*;
}

use std::{borrow::Cow, ops::Deref};

use serde_json::Value as Json;

use crate::target::Target;

pub use self::bindings::{
    export_plain_handler as export,
    exports::wasi::http0_2_12::incoming_handler::Guest,
    wasi::{
        clocks0_2_12::monotonic_clock,
        http0_2_12::types::{
            ErrorCode, Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, Scheme,
        },
        io::streams::{InputStream, OutputStream, StreamError},
    },
    wharf::sql::{
        database::{Connection, Cursor, Database, Transaction},
        types::*,
    },
};

/// A request, taken apart as far as the handlers need.
#[derive(Debug)]
pub struct Request {
    raw: IncomingRequest,
    target: Target,
}

impl Deref for Request {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}

impl Request {
    /// Reads path and query.
    #[must_use]
    pub fn new(raw: IncomingRequest) -> Self {
        Self { target: Target::new(raw.path_with_query()), raw }
    }

    /// Whether it came through TLS, as far as the host says.
    #[must_use]
    pub fn is_https(&self) -> bool {
        matches!(self.raw.scheme(), Some(Scheme::Https))
    }

    /// The database that `?database=` names, `main` if it names none. Opening costs nothing, so a refusal is a broken test.
    #[must_use]
    pub fn database(&self) -> Database {
        let name = self.database_name();
        Database::open(&name).unwrap_or_else(|error| panic!("no database {name}: {error:?}"))
    }

    /// The values of a header, as far as they are text.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<String> {
        self.raw.headers().get(name).iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The stream of the body, with what must be kept while reading it.
    #[must_use]
    pub fn stream(&self) -> (IncomingBody, InputStream) {
        let body = self.raw.consume().expect("the body was not taken before");
        let stream = body.stream().expect("the stream was not taken before");
        (body, stream)
    }

    /// The whole body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let (_body, stream) = self.stream();
        let mut bytes = Vec::new();
        while let Ok(chunk) = stream.blocking_read(64 * 1024) {
            bytes.extend(chunk);
        }
        bytes
    }

    /// The whole body as JSON, null when it is not.
    #[must_use]
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body()).unwrap_or_default()
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    content_type: &'static str,
    body: Cow<'static, [u8]>,
}

impl Answer {
    /// 200 with text.
    #[must_use]
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        let body = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self { status: 200, content_type: "text/plain", body }
    }

    /// 200 with JSON.
    #[must_use]
    pub fn json(value: &Json) -> Self {
        Self { status: 200, content_type: "application/json", body: Cow::Owned(value.to_string().into_bytes()) }
    }

    /// With another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// There is no such variant of the behaviour.
    #[must_use]
    pub fn unknown(variant: &str) -> Self {
        Self::text(format!("no variant {variant}")).status(404)
    }

    /// Sends it.
    pub fn send(self, outparam: ResponseOutparam) {
        let mut writer = Writer::start(outparam, self.status, self.content_type);
        // A reader that went away is not this handler's business.
        let _ = writer.write(&self.body);
        writer.finish();
    }
}

/// An answer whose body is written bit by bit.
#[derive(Debug)]
pub struct Writer {
    // Dropped before the body, its parent.
    stream: Option<OutputStream>,
    body: Option<OutgoingBody>,
}

impl Writer {
    /// Sends the headers.
    #[must_use]
    pub fn start(outparam: ResponseOutparam, status: u16, content_type: &str) -> Self {
        let headers = Fields::new();
        headers.set("content-type", &[content_type.as_bytes().to_vec()]).expect("a valid header");
        let response = OutgoingResponse::new(headers);
        response.set_status_code(status).expect("a valid status");
        let body = response.body().expect("the first body");
        let stream = body.write().expect("the first stream");
        ResponseOutparam::set(outparam, Ok(response));
        Self { stream: Some(stream), body: Some(body) }
    }

    /// Writes everything, waiting for the reader.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), StreamError> {
        let Some(stream) = &self.stream else { return Err(StreamError::Closed) };
        let ready = stream.subscribe();
        while !bytes.is_empty() {
            let room = stream.check_write()?;
            if room == 0 {
                ready.block();
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            stream.write(now)?;
            bytes = later;
        }
        drop(ready);
        stream.blocking_flush()
    }

    /// Ends the body as it should be ended.
    pub fn finish(mut self) {
        drop(self.stream.take());
        if let Some(body) = self.body.take() {
            // Fails only when the reader went away.
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

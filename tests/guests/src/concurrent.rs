//! The world `handler-async` (WASI 0.3): bindings, requests, answers.

#[expect(missing_docs, reason = "generated; documented in wit/")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/worlds",
        world: "handler-async",
        generate_all,
        with: {
            "wharf:sql/types@0.1.0": crate::plain::generated::wharf::sql::types,
            "wharf:documents/types@0.1.0": crate::plain::generated::wharf::documents::types,
        },
        pub_export_macro: true,
        export_macro_name: "export_concurrent_handler",
        default_bindings_module: "guests::concurrent::generated",
    });
}

/// What the bindings generator made.
pub mod generated {
    pub use super::bindings::*;
}

use std::ops::Deref;

use serde_json::Value as Json;
use wit_bindgen::{StreamReader, StreamWriter, spawn_local};

use crate::target::Target;

pub use self::bindings::{
    export_concurrent_handler as export,
    exports::wasi::http0_3_0::handler::Guest,
    wasi::{
        clocks0_3_0::monotonic_clock,
        http0_3_0::types::{ErrorCode, Fields, Request as IncomingRequest, Response},
    },
    wharf::sql_async::database::{Connection, Cursor, Database, Transaction},
    wit_future, wit_stream,
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
        Self { target: Target::new(raw.get_path_with_query()), raw }
    }

    /// The database that `?database=` names, `main` if it names none. Opening costs nothing, so a refusal is a broken test.
    #[must_use]
    pub fn database(&self) -> Database {
        let name = self.database_name();
        Database::open(&name).unwrap_or_else(|error| panic!("no database {name}: {error:?}"))
    }

    /// The body as it comes.
    #[must_use]
    pub fn stream(self) -> StreamReader<u8> {
        let (done, result) = wit_future::new(|| Ok(()));
        let (stream, _trailers) = IncomingRequest::consume_body(self.raw, result);
        drop(done);
        stream
    }

    /// The whole body.
    pub async fn body(self) -> Vec<u8> {
        self.stream().collect().await
    }
}

/// An answer whose body `write` produces after the handler has returned.
pub fn stream<F: Future<Output = ()> + 'static>(
    status: u16,
    content_type: &str,
    write: impl FnOnce(StreamWriter<u8>) -> F + 'static,
) -> Response {
    let headers = Fields::new();
    headers.set("content-type", &[content_type.as_bytes().to_vec()]).expect("a valid header");
    let (body, contents) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (response, sent) = Response::new(headers, Some(contents), no_trailers);
    response.set_status_code(status).expect("a valid status");
    spawn_local(async move {
        write(body).await;
        // Fails only when the reader went away.
        let _ = trailers.write(Ok(None)).await;
        let _ = sent.await;
    });
    response
}

/// A whole answer.
#[must_use]
pub fn answer(status: u16, content_type: &str, content: Vec<u8>) -> Response {
    stream(status, content_type, async move |mut body: StreamWriter<u8>| {
        body.write_all(content).await;
    })
}

/// 200 with JSON.
#[must_use]
pub fn json(value: &Json) -> Response {
    answer(200, "application/json", value.to_string().into_bytes())
}

/// Text.
#[must_use]
pub fn text(status: u16, text: impl Into<String>) -> Response {
    answer(status, "text/plain", text.into().into_bytes())
}

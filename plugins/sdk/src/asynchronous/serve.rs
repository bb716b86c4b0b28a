//! One call of a WASI 0.3 handler.

use wit_bindgen::{FutureWriter, StreamWriter, spawn_local};

use crate::asynchronous::{BodyStream, BodyWriter, Request, Response, Router};
use crate::bindings::asynchronous::wasi::http0_3_0::types::{
    ErrorCode, Fields, Request as RawRequest, Response as RawResponse, Trailers,
};
use crate::bindings::asynchronous::{wit_future, wit_stream};
use crate::error::{Error, Result};
use crate::http::{Body, Method, explain};

/// How a body ended, beside the stream that cannot tell.
type Outcome = Result<Option<Trailers>, ErrorCode>;

/// Answers one request; the [`async_handler!`](crate::async_handler) macro calls this. Errors are treated as in [`crate::http::serve`].
///
/// # Errors
/// `internal-error` when not even a problem document can be made.
pub async fn serve(router: &Router, request: RawRequest) -> Result<RawResponse, ErrorCode> {
    let mut request = Request::new(request);
    let response = router.answer(&mut request).await.unwrap_or_else(|error| explain(&error));
    let without_body = *request.method() == Method::Head;
    // What the handler does not need is given back before the answer is sent.
    drop(request);
    match send(response, without_body) {
        Ok(response) => Ok(response),
        Err(error) => send(explain(&error), without_body).map_err(|_| ErrorCode::InternalError(None)),
    }
}

/// Makes the response and a task that goes on writing its body.
fn send(response: Response, without_body: bool) -> Result<RawResponse> {
    let fields =
        Fields::from_list(&response.wire_headers()).map_err(|error| Error::other(format!("a response header: {error}")))?;
    let (outcome, trailers) = wit_future::new::<Outcome>(|| Ok(None));
    let (stream, contents) = match response.body {
        Body::Empty => (None, None),
        Body::Stream(_) if without_body => (None, None),
        Body::Full(_) | Body::Stream(_) => {
            let (writer, reader) = wit_stream::new::<u8>();
            (Some(writer), Some(reader))
        }
    };
    let (head, _sent) = RawResponse::new(fields, contents, trailers);
    head.set_status_code(response.status).map_err(|()| Error::other(format!("{} is no status", response.status)))?;
    if let Some(stream) = stream {
        spawn_local(write(response.body, stream, outcome));
    }
    Ok(head)
}

/// Writes the body and then says how it ended; an outcome that is only dropped says that all is well.
async fn write(body: Body<BodyStream>, stream: StreamWriter<u8>, outcome: FutureWriter<Outcome>) {
    let mut writer = BodyWriter::new(stream);
    let written = match body {
        Body::Empty => Ok(()),
        Body::Full(bytes) => writer.send(bytes).await,
        Body::Stream(write) => write(&mut writer).await,
    };
    drop(writer);
    match written {
        Ok(()) | Err(Error::Disconnected) => {}
        Err(error) => {
            eprintln!("the answer was broken off: {error}");
            // If nobody waits for the outcome, nobody is left to be told.
            let _ = outcome.write(Err(ErrorCode::InternalError(None))).await;
        }
    }
}

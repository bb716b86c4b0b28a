//! One call of a WASI 0.2 handler.

use crate::bindings::sync::wasi::http0_2_12::types::{ErrorCode, IncomingRequest, ResponseOutparam};
use crate::error::{Error, Result};
use crate::http::body::{self, BodyStream, BodyWriter};
use crate::http::{Body, Method, Request, Response, Router};
use crate::problem::Problem;

/// Answers one request; the [`handler!`](crate::handler) macro calls this.
///
/// An error becomes the problem document of [`Problem::from_error`]; what the client does not see of it goes to stderr, which the host
/// logs.
pub fn serve(router: &Router, request: IncomingRequest, out: ResponseOutparam) {
    let mut request = Request::new(request);
    let response = router.answer(&mut request).unwrap_or_else(|error| explain(&error));
    let without_body = *request.method() == Method::Head;
    // What the handler does not need is given back before the answer is sent.
    drop(request);
    send(response, without_body, out);
}

/// The answer to an error, and a line in the log if it is the handler's or the database's.
pub(crate) fn explain<S>(error: &Error) -> Response<S> {
    let problem = Problem::from_error(error);
    if problem.status() >= 500 {
        eprintln!("{}: {error}", problem.code());
    }
    problem.into_response()
}

fn send(response: Response<BodyStream>, without_body: bool, out: ResponseOutparam) {
    let head = match body::head(&response) {
        Ok(head) => head,
        Err(error) => return send_document(&error, out),
    };
    let mut writer = BodyWriter::new(out, head);
    let written = match response.body {
        Body::Empty => Ok(()),
        Body::Full(bytes) => writer.send(&bytes),
        Body::Stream(_) if without_body => Ok(()),
        Body::Stream(write) => write(&mut writer),
    };
    match written {
        Ok(()) => report(writer.finish()),
        Err(error) => match writer.abandon() {
            Some(out) => send_document(&error, out),
            None => report(Err(error)),
        },
    }
}

/// Sends the problem document of an error, which has nothing that could go wrong again.
fn send_document(error: &Error, out: ResponseOutparam) {
    let response = explain::<BodyStream>(error);
    let Ok(head) = body::head(&response) else {
        return ResponseOutparam::set(out, Err(ErrorCode::InternalError(None)));
    };
    let mut writer = BodyWriter::new(out, head);
    let written = match &response.body {
        Body::Full(bytes) => writer.send(bytes),
        Body::Empty | Body::Stream(_) => Ok(()),
    };
    report(written.and_then(|()| writer.finish()));
}

/// The answer is out or broken off; only the log can be told.
fn report(result: Result<()>) {
    match result {
        Ok(()) | Err(Error::Disconnected) => {}
        Err(error) => eprintln!("the answer was broken off: {error}"),
    }
}

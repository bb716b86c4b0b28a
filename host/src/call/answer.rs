//! Makes the response out of what the guest answers, and streams what does not come at once.

use std::collections::VecDeque;
use std::task::Poll;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmtime_wasi_http::WasiBody;

use super::CallError;
use super::body::{AnswerAborted, BodySender, CallBody, NotTaken};
use super::running::Running;
use crate::lease::Stage;

/// Bytes of an answer that are collected before it is streamed. What fits goes out with its length and without a task.
const COLLECTED_BYTES: u64 = 64 << 10;

/// How often a guest that only gave other tasks their turn gets another one before its answer is streamed.
const PATIENCE: usize = 1;

/// How an answer is delivered.
pub(super) struct Delivery<'a> {
    pub(super) method: Method,
    /// Cancelled when the client has stopped reading.
    pub(super) reader_stalled: Option<CancellationToken>,
    /// Owns the tasks that outlive the response.
    pub(super) tasks: &'a TaskTracker,
}

/// Makes the response. Takes as much of the body as comes without waiting; if that is all, and the guest has returned, the call is
/// over. Otherwise the rest runs in a task, under the same deadline.
///
/// # Errors
/// Whatever ended the call before the head could be sent; it is torn down by then.
pub(super) async fn deliver(
    mut run: Running,
    head: Response<WasiBody>,
    delivery: Delivery<'_>,
) -> Result<Response<CallBody>, CallError> {
    let (head, mut body) = head.into_parts();
    let mut length = match Length::of(&head, &delivery.method) {
        Ok(length) => length,
        Err(detail) => return Err(run.end(CallError::InvalidResponse { detail })),
    };
    let mut frames = VecDeque::new();
    let mut patience = PATIENCE;
    let complete = loop {
        match run.drive_once(body.frame()).await? {
            Poll::Pending if patience > 0 => {
                patience -= 1;
                tokio::task::yield_now().await;
            }
            Poll::Pending => break false,
            Poll::Ready(None) => break true,
            Poll::Ready(Some(frame)) => {
                let frame = frame.map_err(|error| error.to_string());
                match frame.and_then(|frame| length.count(&frame).map(|()| frame)) {
                    Ok(frame) => frames.push_back(frame),
                    Err(detail) => return Err(run.end(CallError::InvalidResponse { detail })),
                }
                if length.sent > COLLECTED_BYTES {
                    break false;
                }
            }
        }
    };
    run.answer_begun();
    if !complete {
        run.stands(Stage::Streaming);
        let (answer, sender) = CallBody::streamed(frames);
        let discard = delivery.method == Method::HEAD;
        let stream = Stream { run, body, length, sender, discard, reader_stalled: delivery.reader_stalled };
        delivery.tasks.spawn(stream.run());
        return Ok(Response::from_parts(head, answer));
    }
    if let Err(detail) = length.check_end() {
        return Err(run.end(CallError::InvalidResponse { detail }));
    }
    run.all_sent();
    // It has everything it waited for; mostly it returns now.
    if !run.guest_returned() {
        let _still_running = run.drive_once(std::future::pending::<()>()).await?;
    }
    if run.guest_returned() {
        run.end_answered();
    } else {
        delivery.tasks.spawn(work_on(run));
    }
    Ok(Response::from_parts(head, CallBody::complete(frames)))
}

/// Lets the guest finish what it does after its answer; the client has all it wanted.
async fn work_on(mut run: Running) {
    run.stands(Stage::WorkingOn);
    if run.drive_to_end().await.is_ok() {
        run.end_answered();
    }
}

/// The rest of an answer that did not come at once.
struct Stream {
    run: Running,
    body: WasiBody,
    length: Length,
    sender: BodySender,
    /// The answer to a HEAD request: nobody reads the body, and that is not the client going away.
    discard: bool,
    reader_stalled: Option<CancellationToken>,
}

impl Stream {
    async fn run(mut self) {
        match self.forward().await {
            Ok(()) => {
                self.run.all_sent();
                self.sender.end(Ok(()));
                work_on(self.run).await;
            }
            Err(error) => {
                if error == CallError::ReaderStalled
                    && let Some(connection) = &self.reader_stalled
                {
                    connection.cancel();
                }
                self.sender.end(Err(AnswerAborted { outcome: error.outcome() }));
            }
        }
    }

    async fn forward(&mut self) -> Result<(), CallError> {
        let stall = self.run.plugin().limits().body_stall_timeout;
        while let Some(frame) = self.next().await? {
            if self.discard {
                continue;
            }
            let taken = self.run.drive(self.sender.send(frame, stall)).await?;
            self.taken(taken)?;
        }
        if let Err(detail) = self.length.check_end() {
            return Err(self.run.end(CallError::InvalidResponse { detail }));
        }
        if !self.discard {
            let taken = self.run.drive(self.sender.drained(stall)).await?;
            self.taken(taken)?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Frame<Bytes>>, CallError> {
        let Self { run, body, sender, discard, .. } = self;
        let frame = run.drive(async {
            tokio::select! {
                biased;
                frame = body.frame() => Ok(frame),
                () = sender.gone(), if !*discard => Err(NotTaken::Gone),
            }
        });
        let frame = match frame.await? {
            Ok(frame) => frame,
            Err(gone) => {
                self.taken(Err(gone))?;
                // Only the handler has not said yet that this was all.
                self.run.drive(self.body.frame()).await?
            }
        };
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|error| error.to_string());
        match frame.and_then(|frame| self.length.count(&frame).map(|()| frame)) {
            Ok(frame) => Ok(Some(frame)),
            Err(detail) => Err(self.run.end(CallError::InvalidResponse { detail })),
        }
    }

    fn taken(&mut self, taken: Result<(), NotTaken>) -> Result<(), CallError> {
        let error = match taken {
            Ok(()) => return Ok(()),
            // hyper lets go of a body as soon as it has as many bytes as were announced.
            Err(NotTaken::Gone) if self.length.said.is_some_and(|said| self.sender.taken() >= said) => return Ok(()),
            Err(NotTaken::Gone) => CallError::ClientGone,
            Err(NotTaken::Stalled) => CallError::ReaderStalled,
        };
        Err(self.run.end(error))
    }
}

/// The length an answer says it has, and what it really sends.
struct Length {
    said: Option<u64>,
    sent: u64,
}

impl Length {
    /// Checks the head as well: what cannot be sent is refused before anything is.
    fn of(head: &http::response::Parts, method: &Method) -> Result<Self, String> {
        if !(200..=599).contains(&head.status.as_u16()) {
            return Err(format!("the status {} is not a final one", head.status.as_u16()));
        }
        let said = match head.headers.get(CONTENT_LENGTH) {
            Some(said) => {
                let said = said.to_str().ok().and_then(|said| said.parse().ok());
                Some(said.ok_or_else(|| "the content-length is not a number".to_owned())?)
            }
            None => None,
        };
        // These say how long a body would be that they do not have.
        let bodiless = *method == Method::HEAD || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(Self { said: said.filter(|_| !bodiless), sent: 0 })
    }

    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), String> {
        self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.said {
            Some(said) if self.sent > said => Err(format!("the body is longer than its content-length of {said}")),
            _ => Ok(()),
        }
    }

    fn check_end(&self) -> Result<(), String> {
        match self.said {
            Some(said) if self.sent != said => Err(format!("the body has {} bytes and its content-length is {said}", self.sent)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, length: Option<&str>) -> http::response::Parts {
        let mut response = Response::builder().status(status);
        if let Some(length) = length {
            response = response.header(CONTENT_LENGTH, length);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_status_that_is_not_final_is_refused() {
        assert!(Length::of(&head(101, None), &Method::GET).is_err());
        assert!(Length::of(&head(600, None), &Method::GET).is_err());
        assert!(Length::of(&head(200, None), &Method::GET).is_ok());
    }

    #[test]
    fn a_body_is_as_long_as_it_says() {
        let frame = Frame::data(Bytes::from_static(b"hello"));
        let mut length = Length::of(&head(200, Some("5")), &Method::GET).unwrap();
        assert!(length.check_end().is_err());
        length.count(&frame).unwrap();
        length.check_end().unwrap();
        assert!(length.count(&frame).is_err());
    }

    #[test]
    fn an_answer_to_head_may_say_the_length_of_a_body_it_has_not() {
        Length::of(&head(200, Some("5")), &Method::HEAD).unwrap().check_end().unwrap();
    }
}

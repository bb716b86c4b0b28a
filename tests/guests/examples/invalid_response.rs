//! Answers with what is no proper answer.

use guests::plain::{ErrorCode, Fields, Guest, IncomingRequest, OutgoingBody, OutgoingResponse, Request, ResponseOutparam};

struct InvalidResponse;

impl Guest for InvalidResponse {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let answer = |response| ResponseOutparam::set(outparam, response);
        match Request::new(request).variant() {
            // Its words are for the log, not for the client.
            "error" => answer(Err(ErrorCode::InternalError(Some("the secret of the handler".to_owned())))),
            "refused" => answer(Err(ErrorCode::HttpRequestDenied)),
            // A status that HTTP does not have; where it is refused, a plain answer tells so.
            "status" => {
                let response = OutgoingResponse::new(Fields::new());
                let status = if response.set_status_code(1000).is_err() { 422 } else { 1000 };
                let _ = response.set_status_code(status);
                answer(Ok(response));
            }
            // An interim status is no final answer.
            "interim" => {
                let response = OutgoingResponse::new(Fields::new());
                let _ = response.set_status_code(101);
                answer(Ok(response));
            }
            // Headers that belong to the connection, not to the handler.
            "headers" => {
                let headers = Fields::new();
                let refused = ["connection", "transfer-encoding", "upgrade", "keep-alive", "host"]
                    .iter()
                    .filter(|name| headers.append(name, b"x").is_err())
                    .count();
                let headers = Fields::new();
                let _ = headers.append("x-refused", refused.to_string().as_bytes());
                answer(Ok(OutgoingResponse::new(headers)));
            }
            // Fewer bytes than promised, and more.
            "short" => promised(answer, b"10", b"short"),
            "long" => promised(answer, b"2", b"longer"),
            // A body that is begun, and neither ended nor kept.
            "unfinished" => {
                let response = OutgoingResponse::new(Fields::new());
                let body = response.body().expect("the first body");
                answer(Ok(response));
                let stream = body.write().expect("the first stream");
                let _ = stream.blocking_write_and_flush(b"begun");
                drop(stream);
                drop(body);
            }
            other => panic!("no variant {other}"),
        }
    }
}

fn promised(answer: impl FnOnce(Result<OutgoingResponse, ErrorCode>), length: &[u8], content: &[u8]) {
    let headers = Fields::new();
    headers.append("content-length", length).expect("a valid header");
    let response = OutgoingResponse::new(headers);
    let body = response.body().expect("the first body");
    answer(Ok(response));
    let stream = body.write().expect("the first stream");
    let _ = stream.blocking_write_and_flush(content);
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

guests::plain::export!(InvalidResponse);

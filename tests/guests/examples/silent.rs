//! Returns without an answer.

use guests::plain::{Guest, IncomingRequest, Request, ResponseOutparam};

struct Silent;

impl Guest for Silent {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        match Request::new(request).variant() {
            "keeps" => std::mem::forget(outparam),
            _ => drop(outparam),
        }
    }
}

guests::plain::export!(Silent);

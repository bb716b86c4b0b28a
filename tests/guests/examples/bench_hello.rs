//! Says hello, whatever is asked: what a call costs that does nothing. Imports nothing of Wharf's, so that other hosts run it too.

use guests::plain::{Answer, Guest, IncomingRequest, ResponseOutparam, export};

struct Hello;

impl Guest for Hello {
    fn handle(_: IncomingRequest, outparam: ResponseOutparam) {
        Answer::text("hello").send(outparam);
    }
}

export!(Hello);

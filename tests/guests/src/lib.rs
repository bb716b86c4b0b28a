//! What the handlers of the tests share; each handler is an example of this crate, built as a component.

pub mod compute;
pub mod concurrent;
pub mod documents;
pub mod exits;
pub mod json;
pub mod plain;
pub mod target;
pub mod work;

/// Exports `answer: fn(Request) -> Answer` as the WASI 0.2 handler of a component.
#[macro_export]
macro_rules! handler {
    ($answer:path) => {
        struct Handler;

        impl $crate::plain::Guest for Handler {
            fn handle(request: $crate::plain::IncomingRequest, outparam: $crate::plain::ResponseOutparam) {
                let answer = $answer($crate::plain::Request::new(request));
                answer.send(outparam);
            }
        }

        $crate::plain::export!(Handler);
    };
}

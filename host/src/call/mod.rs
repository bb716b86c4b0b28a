//! Calls: one request, one Store, one instance, and one teardown whatever ends it.
//!
//! In the order data flows: [`Caller::call`] waits at [`Admission`]; `request` turns the HTTP request into the guest's; `guest` is the
//! future that owns the Store, a new one or one of `kept`; `running` drives it under the deadline and tears it down; `answer` makes the response; [`CallBody`] is
//! its body. [`Roster`] lists the calls meanwhile. `probe` tries a plugin that nobody calls yet, and asks it something.
//!
//! The guest runs in the request's own task until the answer is there. Only an answer that is not complete by then, or a handler that
//! goes on working after it, gets a task of its own.

mod admission;
mod alarm;
mod answer;
mod body;
mod caller;
mod error;
mod guest;
mod kept;
mod outcome;
mod output;
mod probe;
mod request;
mod roster;
mod running;
#[cfg(test)]
mod tests;

pub use admission::Admission;
pub use body::{AnswerAborted, CallBody};
pub use caller::{CallMeta, Caller};
pub use error::{CallError, OverloadLimit, RequestBodyError};
pub use outcome::Outcome;
pub use probe::PROBE;
pub use roster::{CallView, Roster};

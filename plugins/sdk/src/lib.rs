//! Write handlers for Wharf.
mod bindings;
pub use bindings::sync as raw;
pub use bindings::asynchronous as raw_async;

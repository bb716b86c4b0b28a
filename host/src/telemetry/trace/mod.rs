//! Traces: a span a call, a statement, a reclaim, sent to whoever collects them by OTLP over HTTP in JSON.
//!
//! In the order data flows: [`Context`] is what `traceparent` says; [`Tracer`] decides whether a call is sampled, and keeps the [`Span`]s that
//! have ended, each thread its own; `otlp` writes them down; [`Exporter`] sends them to the [`Endpoint`]. Nobody waits for that: what is too much is
//! counted and lost. Whoever is not sampled, and a host without traces, has no span.

mod context;
mod endpoint;
mod export;
mod otlp;
mod span;
mod tracer;

pub use self::{
    context::Context,
    endpoint::Endpoint,
    export::Exporter,
    span::{CallSpan, Kind, Span, Trace, Value},
    tracer::Tracer,
};

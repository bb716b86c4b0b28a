//! A stand-in for a MongoDB server: answers what it was told to, ends what runs when it is asked to, falls silent, and keeps a record.
//!
//! It does what no server that the tests can have does: it ends a blocked operation as MongoDB does (`killSessions`, `killOp`, `maxTimeMS`, a
//! client that has gone), it answers more than a driver can ask, and it tells what it was asked, over how many sockets. It knows no data: a
//! filter is not looked at, nobody logs in, and `currentOp` lists everything whatever is asked.
//!
//! Benchmarks run it as a process of its own, `stand-in`.
//!
//! ```no_run
//! # async fn example() {
//! use std::time::Duration;
//!
//! use bson::doc;
//! use wire::Wire;
//!
//! let wire = Wire::start();
//! wire.answer("insert", &doc! { "ok": 1, "n": 2 });
//! wire.block("find");
//! // A driver at `wire.url("app")` asks.
//! wire.until("a find", Duration::from_secs(5), |wire| wire.waiting().contains(&"find".to_owned()).then_some(())).await;
//! wire.release();
//! # }
//! ```

mod answer;
mod collection;
mod command;
mod link;
mod message;
mod record;
mod reply;
mod server;
mod state;
mod table;
#[cfg(test)]
mod tests;

pub use self::{
    record::{Recorded, Sockets},
    reply::error,
    server::{Mode, Wire},
};

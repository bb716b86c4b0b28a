//! Wharf runs WebAssembly handlers next to databases, and takes every connection back.

pub mod admin;
pub mod assembly;
pub mod call;
pub mod cli;
pub mod config;
pub mod driver;
pub mod engine;
pub mod interface;
pub mod lease;
pub mod plugin;
pub mod pool;
pub mod router;
pub mod server;
pub mod shards;
mod sync;
pub mod telemetry;

//! Wharf runs WebAssembly handlers next to databases, and takes every connection back.

pub mod call;
pub mod driver;
pub mod engine;
pub mod interface;
pub mod lease;
pub mod plugin;
pub mod pool;

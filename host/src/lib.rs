//! Wharf runs WebAssembly handlers next to databases, and takes every connection back.

pub mod cli;
pub mod config;
pub mod driver;
pub mod interface;
pub mod lease;
pub mod pool;

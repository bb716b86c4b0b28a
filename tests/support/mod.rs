//! What the tests share: a PostgreSQL server, the host as a child process, an HTTP client, a proxy that misbehaves, the guests, a scripted driver.

pub mod client;
pub mod guests;
pub mod host;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod scripted;
pub mod wait;

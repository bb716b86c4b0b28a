//! What the tests share: a PostgreSQL server, the host as a child process, an HTTP client, the guests, a scripted driver.

pub mod client;
pub mod cut;
pub mod guests;
pub mod host;
pub mod postgres;
pub mod random;
pub mod scripted;
pub mod wait;

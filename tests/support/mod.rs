//! What the tests share: servers of PostgreSQL, MariaDB and of MongoDB's protocol, a stand-in for the latter, the host as a child process,
//! an HTTP client, JSON Schema as far as it is used, a proxy that misbehaves, the guests, a scripted driver, and secrets that no host may tell.

pub mod client;
pub mod cut;
pub mod guests;
pub mod host;
pub mod mariadb;
pub mod mongodb;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod removal;
pub mod schema;
pub mod scripted;
pub mod secrets;
pub mod servers;
pub mod wait;

pub use wire;

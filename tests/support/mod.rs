//! What the tests share: servers of PostgreSQL, MariaDB and of MongoDB's protocol, a stand-in for the latter, the host as a child process,
//! an HTTP client, a browser, JSON Schema and YAML as far as they are used, a proxy that misbehaves, a receiver of traces, the guests, a scripted driver, and secrets that no host
//! may tell.

pub mod browser;
pub mod client;
pub mod cut;
pub mod guests;
pub mod host;
pub mod mariadb;
pub mod mongodb;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod receiver;
pub mod removal;
pub mod schema;
pub mod scripted;
pub mod secrets;
pub mod servers;
pub mod wait;
pub mod yaml;

pub use wire;

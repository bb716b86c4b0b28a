//! What the tests share: servers of PostgreSQL and MariaDB, the host as a child process, an HTTP client, a proxy that misbehaves, the
//! guests, a scripted driver.

pub mod client;
pub mod cut;
pub mod guests;
pub mod host;
pub mod mariadb;
pub mod postgres;
pub mod proxy;
pub mod random;
pub mod removal;
pub mod scripted;
pub mod servers;
pub mod wait;

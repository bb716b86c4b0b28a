//! TLS to databases, every mode against every server that it is for or against; and TLS of clients to the host.

pub(crate) mod certificates;
pub(crate) mod listener;
mod mariadb;
mod mongodb;
mod postgres;
mod tap;

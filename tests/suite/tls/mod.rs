//! TLS to databases, every mode against every server that it is for or against; TLS of clients to the host; and to a receiver of traces.

pub(crate) mod certificates;
pub(crate) mod listener;
mod mariadb;
mod mongodb;
mod postgres;
mod tap;
mod traces;

//! TLS to databases: every mode against every server that it is for or against; and to a receiver of traces.

mod certificates;
mod mariadb;
mod mongodb;
mod postgres;
mod tap;
mod traces;

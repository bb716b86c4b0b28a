//! TLS to databases: every mode against every server that it is for or against.

mod certificates;
mod mariadb;
mod mongodb;
mod postgres;
mod tap;

//! PostgreSQL for tests: a server, databases with roles of their own, and what the server itself says about its sessions.

mod database;
mod server;
mod sessions;
mod tls;

pub use self::{
    database::{PostgresDatabase, Role},
    server::{Server, server, start, start_with},
    sessions::SessionRow,
    tls::{TlsRole, TlsServer},
};

//! MariaDB for tests: a server, databases with users of their own, and what the server itself says about its sessions.

mod database;
mod server;
mod sessions;

pub use self::{
    database::{MariadbDatabase, User},
    server::{Server, server, start},
    sessions::SessionRow,
};

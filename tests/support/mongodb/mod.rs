//! MongoDB for tests: a server that speaks its protocol, databases with users of their own, and what the server itself says of who is
//! there.
//!
//! The server is SecantusDB, from a Python environment that `tests/run` makes; with `WHARF_TEST_MONGODB_URL`, an administrator's, it is
//! MongoDB itself, which must be a replica set, be it of one. What only a stand-in shows, since SecantusDB ends nothing that runs, is
//! tried with [`wire`].

mod database;
mod server;
mod sessions;

pub use self::{
    database::{MongodbDatabase, User},
    server::{Server, server, start},
    sessions::{CursorRow, Look, SocketRow, Totals},
};

//! What one call may hold: its grants, its budgets and its leases, all of which end with it.
//!
//! [`Scope`] is the call's; [`Database`], [`Connection`], [`Transaction`] and [`Cursor`] are what its handles stand for. Dropping a handle
//! sends a message and nothing else; ending the scope takes back what was not dropped.

mod error;
mod grant;
mod handles;
mod scope;

pub use self::{
    error::Error,
    grant::{Grant, Grants},
    handles::{Connection, Cursor, Database, Transaction},
    scope::{CallInfo, End, Scope},
};

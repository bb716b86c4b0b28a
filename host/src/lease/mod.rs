//! What one call may hold: its grants, its budgets and its leases, all of which end with it.
//!
//! [`Scope`] is the call's; [`Database`], [`Connection`], [`Transaction`] and [`Cursor`] are what its handles of SQL stand for, and those of
//! [`documents`] what its others do. Both are made of what `held` has; where an audit log is kept, `audited` has each operation in it. Dropping a handle sends a message and nothing else; ending the scope
//! takes back what was not dropped.

mod audited;
pub mod documents;
mod error;
mod grant;
mod handles;
mod held;
mod life;
mod scope;
mod traced;

pub use self::{
    error::Error,
    grant::{Grant, Grants},
    handles::{Connection, Cursor, Database, Transaction},
    life::{Life, Stage},
    scope::{CallInfo, Scope},
};
pub use crate::pool::End;

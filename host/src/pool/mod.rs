//! Bounded pools over raw driver connections.
//!
//! A [`Database`] has one limit and one or more pools, one a credential. Every connection lives in a *slot*, and every slot in a task
//! of its own that owns the connection from connect to close: nobody else ever drops a driver future. Borrowing goes
//! [`Database::acquire`] → queue → [`Hold`] → commands to the slot's task; giving back is a notice that the `Drop` of the `Hold`
//! sends. The slot takes the connection back, proves it clean, and only then counts it as free.

mod alarm;
mod capacity;
mod close;
mod control;
mod counters;
mod database;
mod dispatch;
mod error;
mod grants;
mod hold;
mod journal;
mod places;
mod queue;
mod reclaim;
mod reconfigure;
mod reports;
mod serve;
pub mod settings;
mod slot;
mod state;
mod tenancy;
mod timings;
mod upkeep;
mod view;

pub use self::{
    capacity::HostCapacity,
    close::Leftovers,
    counters::{Counter, Counters},
    database::{Borrower, Database, PoolSpec},
    error::{AcquireError, End, Ended, Limit, OperationError},
    grants::{Granted, Quota, ShareView},
    hold::{Hold, LeaseView, Until, Via},
    journal::{During, Reclaim, Step, Tally, Trouble},
    settings::{Bounds, Settings},
    state::Counts,
    timings::Timings,
    view::View,
};

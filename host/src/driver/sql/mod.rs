//! What SQL drivers share: reading a statement just far enough to refuse it or to know what it may leave behind.
//!
//! [`lex`] cuts a text into tokens exactly as the server does; [`leading`] looks at its first words and refuses what a guest may not
//! send; [`classify`] tells which statements may be free of residue, and what a driver must still check to be sure; `redact` tells
//! values from the rest. The rules are PostgreSQL's.

pub mod classify;
pub mod leading;
pub mod lex;
pub(super) mod redact;
mod vocabulary;

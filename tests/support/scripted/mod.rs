//! A driver that does what a test's script says, step by step, and writes down what was asked of it.

mod driver;
mod script;

pub use self::script::{Behaviour, Event, Kind, Outcome, Script, Step};

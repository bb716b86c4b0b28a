//! Bounded pools: slots and their tasks, the fair queue, quotas.

pub mod settings;

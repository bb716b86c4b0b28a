//! The two wasmtime engines, what they offer to handlers, and the Store's state.
//!
//! In the order data flows: [`EngineSettings`] become [`Engines`]; a component is linked once against [`CallState`]; every call then
//! makes one Store, bounded by a [`Limiter`] and counted by the [`Gate`] in front of the pooling allocator.

mod cache;
mod config;
mod engines;
mod gate;
mod limiter;
mod linker;
pub mod offers;
mod settings;
mod state;
mod ticker;

pub use cache::CacheFolderError;
pub(crate) use cache::private_folder;
pub use config::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};
pub use engines::{Allocation, EngineError, Engines};
pub use gate::{Gate, GateError, GatePermit};
pub use limiter::Limiter;
pub use settings::EngineSettings;
pub use state::CallState;

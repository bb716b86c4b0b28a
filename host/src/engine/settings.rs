//! What the engines can be told, with finite defaults.

use std::path::PathBuf;
use std::time::Duration;

/// Sizes of the engines. Every limit is finite.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Instances that exist at the same time, over both engines; the pooling allocator reserves room for them.
    pub max_instances: u32,
    /// Calls that wait for an instance to become free, over all plugins; more are refused at once.
    pub max_waiting: usize,
    /// Bytes of stack a handler's own code may use; beyond it the handler traps.
    pub max_wasm_stack: usize,
    /// Bytes of the whole stack of a call: the handler's share and that of the host functions it calls.
    pub async_stack: usize,
    /// Period of the epoch ticker: the longest time a handler computes before other tasks of its thread get their turn.
    pub epoch_period: Duration,
    /// Folder of compiled components, made with mode 0700; `None` compiles at every start.
    pub cache_folder: Option<PathBuf>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            max_instances: 256,
            max_waiting: 256,
            max_wasm_stack: 512 << 10,
            async_stack: 2 << 20,
            epoch_period: Duration::from_millis(10),
            cache_folder: None,
        }
    }
}

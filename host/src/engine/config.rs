//! Translates [`EngineSettings`] into wasmtime's configuration.

use wasmtime::{Cache, Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use super::EngineSettings;

/// Core instances one component may consist of.
pub const MAX_CORE_INSTANCES: u32 = 32;
/// Linear memories one component may have.
pub const MAX_MEMORIES: u32 = 4;
/// Tables one component may have.
pub const MAX_TABLES: u32 = 16;
/// Elements of all the tables of one call together.
pub const MAX_TABLE_ELEMENTS: usize = 100_000;

/// Elements one table of the pool has room for.
const POOLED_TABLE_ELEMENTS: usize = 20_000;
/// Bytes of each memory that stay resident between calls. Together with `PAGEMAP_SCAN`, and only together, this makes a fresh
/// instance three times cheaper.
const MEMORY_KEPT_RESIDENT: usize = 1 << 20;
/// Without this each table costs a system call and a page fault a call, and a component has two at least.
const TABLE_KEPT_RESIDENT: usize = 32 << 10;
/// A handler with concurrency may suspend several tasks, each on a stack of its own.
const STACKS_PER_CONCURRENT_INSTANCE: u32 = 4;

/// With component-model concurrency or without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Concurrency {
    Off,
    On,
}

/// What both allocation strategies share.
pub(super) fn base(settings: &EngineSettings, concurrency: Concurrency, cache: Option<&Cache>) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.concurrency_support(concurrency == Concurrency::On);
    config.consume_fuel(true);
    config.epoch_interruption(true);
    config.max_wasm_stack(settings.max_wasm_stack);
    config.async_stack_size(settings.async_stack);
    config.parallel_compilation(true);
    // Function names are enough for the log; file and line would need the debug sections that `wharf build` strips.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.cache(cache.cloned());
    config
}

/// The pool: room for `max_instances` components of the largest shape that is allowed.
pub(super) fn pooling(settings: &EngineSettings, concurrency: Concurrency) -> InstanceAllocationStrategy {
    let instances = settings.max_instances;
    let stacks = match concurrency {
        Concurrency::Off => instances,
        Concurrency::On => instances.saturating_mul(STACKS_PER_CONCURRENT_INSTANCE),
    };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances);
    pool.total_core_instances(instances.saturating_mul(MAX_CORE_INSTANCES));
    pool.total_memories(instances.saturating_mul(MAX_MEMORIES));
    pool.total_tables(instances.saturating_mul(MAX_TABLES));
    pool.total_stacks(stacks);
    pool.max_core_instances_per_component(MAX_CORE_INSTANCES);
    pool.max_memories_per_component(MAX_MEMORIES);
    pool.max_tables_per_component(MAX_TABLES);
    pool.max_memories_per_module(MAX_MEMORIES);
    pool.max_tables_per_module(MAX_TABLES);
    pool.table_elements(POOLED_TABLE_ELEMENTS);
    pool.linear_memory_keep_resident(MEMORY_KEPT_RESIDENT);
    // Stacks are not zeroed between calls: compiled code writes every place before it reads it, and to zero them costs every call.
    pool.table_keep_resident(TABLE_KEPT_RESIDENT);
    pool.pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Whether the kernel can tell which pages a call has touched.
pub(super) fn pagemap_scan_available() -> bool {
    PoolingAllocationConfig::is_pagemap_scan_available()
}

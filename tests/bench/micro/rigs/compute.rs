//! A component that computes, on an engine with fuel or without it. The host cannot do without: every limit is finite.

use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker, ResourceTable, TypedFunc},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::told;

/// Whether instructions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fuel {
    /// As the host has it.
    On,
    /// As the host never has it.
    Off,
}

/// An instance whose functions compute and give a text.
#[allow(missing_debug_implementations, reason = "a Store has none")]
pub struct Compute {
    store: Store<Wasi>,
    function: TypedFunc<(), (String,)>,
}

/// What Rust's standard library imports.
#[derive(Default)]
struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Wasi {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.context, table: &mut self.table }
    }
}

impl Compute {
    /// Compiles as the host does, but for fuel, and instantiates.
    ///
    /// # Errors
    /// When the component has no such function.
    pub async fn new(component: &[u8], function: &str, fuel: Fuel) -> anyhow::Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model(true);
        config.epoch_interruption(true);
        config.consume_fuel(fuel == Fuel::On);
        let engine = Engine::new(&config).map_err(told)?;
        let component = Component::from_binary(&engine, component).map_err(told)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(told)?;
        let mut store = Store::new(&engine, Wasi::default());
        // No epoch ends here.
        store.set_epoch_deadline(1);
        if fuel == Fuel::On {
            store.set_fuel(u64::MAX).map_err(told)?;
        }
        let instance = linker.instantiate_async(&mut store, &component).await.map_err(told)?;
        let function = instance.get_typed_func(&mut store, function).map_err(told)?;
        Ok(Self { store, function })
    }

    /// Computes once.
    ///
    /// # Errors
    /// When it traps.
    pub async fn compute(&mut self) -> anyhow::Result<String> {
        Ok(self.function.call_async(&mut self.store, ()).await.map_err(told)?.0)
    }
}

//! Builds and owns the two engines.

use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime::{Cache, CacheConfig, Engine, InstanceAllocationStrategy};

use super::cache::{self, CacheFolderError};
use super::config::{self, Concurrency};
use super::ticker::Ticker;
use super::{CallState, EngineSettings, Gate, linker};

/// Why the engines cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The folder for compiled components cannot be trusted or used.
    #[error("the cache folder cannot be used: {0}")]
    CacheFolder(#[from] CacheFolderError),
    /// `max_instances` is zero, or more than a semaphore can count.
    #[error("max_instances must be between 1 and {max}")]
    Instances {
        /// The largest number accepted.
        max: u32,
    },
    /// The epoch ticker's thread cannot be started.
    #[error("the epoch ticker cannot be started: {0}")]
    Ticker(std::io::Error),
    /// wasmtime refuses the configuration or cannot link the host's own interfaces.
    #[error("{0:#}")]
    Wasmtime(wasmtime::Error),
}

/// How instances get their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool that was reserved at the start.
    Pooled {
        /// Whether the kernel offers `PAGEMAP_SCAN`; without it a fresh instance costs about three times as much.
        pagemap_scan: bool,
    },
    /// Mapped anew for each call, because the address space for the pool could not be reserved.
    OnDemand,
}

impl std::fmt::Display for Allocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pooled { pagemap_scan: true } => "pooled memory, PAGEMAP_SCAN",
            Self::Pooled { pagemap_scan: false } => "pooled memory, no PAGEMAP_SCAN on this kernel",
            Self::OnDemand => "memory on demand",
        })
    }
}

/// Room for this many instances at the most: the address space of two pools must fit into 47 bits.
const MAX_INSTANCES: u32 = 2_000;

/// Of zstd, for every component in the cache.
const COMPRESSION_LEVEL: i32 = 3;

/// Both engines, their linkers, and the gate in front of their allocators.
pub struct Engines {
    plain: Linker<CallState>,
    concurrent: Linker<CallState>,
    gate: Arc<Gate>,
    allocation: Allocation,
    cache: Option<Cache>,
    _ticker: Ticker,
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engines").field("allocation", &self.allocation).field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl Engines {
    /// Builds both engines, links what the host offers, and starts the epoch ticker.
    ///
    /// When the pool cannot be reserved the engines allocate on demand, with a warning.
    ///
    /// # Errors
    /// See [`EngineError`]; nothing is left behind but the cache folder.
    pub fn new(settings: &EngineSettings) -> Result<Self, EngineError> {
        if settings.max_instances == 0 || settings.max_instances > MAX_INSTANCES {
            return Err(EngineError::Instances { max: MAX_INSTANCES });
        }
        let cache = match &settings.cache_folder {
            Some(folder) => {
                let folder = cache::private_folder(folder)?;
                let mut config = CacheConfig::new();
                config.with_directory(folder);
                // By default what was used 256 times is compressed again at level 20, which takes over a hundred MiB.
                config.with_baseline_compression_level(COMPRESSION_LEVEL).with_optimized_compression_level(COMPRESSION_LEVEL);
                Some(Cache::new(config).map_err(EngineError::Wasmtime)?)
            }
            None => None,
        };
        let (plain, concurrent, allocation) = build(settings, cache.as_ref())?;
        let ticker = Ticker::start([&plain, &concurrent], settings.epoch_period).map_err(EngineError::Ticker)?;
        Ok(Self {
            plain: linker::plain(&plain).map_err(EngineError::Wasmtime)?,
            concurrent: linker::concurrent(&concurrent).map_err(EngineError::Wasmtime)?,
            gate: Arc::new(Gate::new(settings.max_instances as usize, settings.max_waiting)),
            allocation,
            cache,
            _ticker: ticker,
        })
    }

    /// The engine without component-model concurrency, for WASI 0.2 components, with everything they may import.
    #[must_use]
    pub fn plain(&self) -> &Linker<CallState> {
        &self.plain
    }

    /// The engine with component-model concurrency, for components that use anything asynchronous.
    #[must_use]
    pub fn concurrent(&self) -> &Linker<CallState> {
        &self.concurrent
    }

    /// One place an instance, over both engines. An instance may only be made while its place is held.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// How instances get their memory.
    #[must_use]
    pub fn allocation(&self) -> Allocation {
        self.allocation
    }

    /// Components found in the cache and components compiled since the start; `None` without a cache folder.
    #[must_use]
    pub fn cache_use(&self) -> Option<(usize, usize)> {
        self.cache.as_ref().map(|cache| (cache.cache_hits(), cache.cache_misses()))
    }
}

fn build(settings: &EngineSettings, cache: Option<&Cache>) -> Result<(Engine, Engine, Allocation), EngineError> {
    let engine = |concurrency, strategy: Option<InstanceAllocationStrategy>| {
        let mut config = config::base(settings, concurrency, cache);
        config.allocation_strategy(strategy.unwrap_or(InstanceAllocationStrategy::OnDemand));
        Engine::new(&config)
    };
    let pooled = |concurrency| engine(concurrency, Some(config::pooling(settings, concurrency)));
    match (pooled(Concurrency::Off), pooled(Concurrency::On)) {
        (Ok(plain), Ok(concurrent)) => {
            let pagemap_scan = config::pagemap_scan_available();
            if pagemap_scan {
                tracing::debug!(max_instances = settings.max_instances, "engines ready: pooled memory, PAGEMAP_SCAN available");
            } else {
                tracing::warn!(
                    max_instances = settings.max_instances,
                    "engines ready: pooled memory, but this kernel has no PAGEMAP_SCAN (Linux 6.7), so fresh instances cost more"
                );
            }
            Ok((plain, concurrent, Allocation::Pooled { pagemap_scan }))
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(
                max_instances = settings.max_instances,
                error = format!("{error:#}"),
                "the pool of instances cannot be reserved, allocating on demand; lower max_instances or raise the limit of address space"
            );
            let plain = engine(Concurrency::Off, None).map_err(EngineError::Wasmtime)?;
            let concurrent = engine(Concurrency::On, None).map_err(EngineError::Wasmtime)?;
            Ok((plain, concurrent, Allocation::OnDemand))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs, thread,
        time::{Duration, Instant},
    };

    use wasmtime::component::Component;

    use super::*;

    /// What is looked for, once it is there.
    fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(began.elapsed() < Duration::from_secs(60));
            thread::yield_now();
        }
    }

    #[test]
    fn no_instances_are_refused() {
        let settings = EngineSettings { max_instances: 0, ..EngineSettings::default() };
        assert!(matches!(Engines::new(&settings), Err(EngineError::Instances { .. })));
    }

    #[test]
    fn what_is_used_often_is_not_compressed_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let settings = EngineSettings { max_instances: 1, cache_folder: Some(cache.clone()), ..EngineSettings::default() };
        let engines = Engines::new(&settings).unwrap();
        let code = wat::parse_str("(component (core module))").unwrap();
        let load = || Component::from_binary(engines.plain().engine(), &code).unwrap();
        load();
        // What wasmtime's thread notes of the only component.
        let notes = until(|| {
            let version = fs::read_dir(cache.join("modules")).ok()?.next()?.unwrap().path();
            let mut files = fs::read_dir(version).unwrap().map(|file| file.unwrap().path());
            files.find(|file| file.extension().is_some_and(|extension| extension == "stats"))
        });
        fs::write(&notes, "usages = 1000\noptimized-compression = 3\n").unwrap();
        load();
        load();
        assert_eq!(engines.cache_use(), Some((2, 1)));
        // The second use is noted when all has been done that came of the first.
        let noted = until(|| Some(fs::read_to_string(&notes).unwrap()).filter(|noted| noted.contains("usages = 1002")));
        assert!(noted.contains("optimized-compression = 3\n"), "{noted}");
    }
}

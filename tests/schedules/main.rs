//! Pools and leases under many orders of events, chosen at random and repeatable by their seeds.
//!
//! `pool` and `lease` are compiled here as they are, over `stand_in` instead of tokio and over locks of `shuttle`: whoever takes a lock, sends a
//! message or waits may be made to let any other go first. The driver is the scripted one. `WHARF_SCHEDULES` says how many schedules of
//! each scenario are tried; the seed of one that fails is printed with the command that tries it again, and `WHARF_SCHEDULES_LOG=debug` shows
//! what the pool logs meanwhile.

#![expect(clippy::unwrap_used, reason = "tests say what went wrong by where they stand")]

extern crate stand_in as rand;
extern crate stand_in as tokio;
extern crate stand_in as tokio_util;

#[path = "../../host/src/lease/mod.rs"]
#[allow(
    clippy::all,
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "it is looked at where it belongs; the host uses more of it"
)]
mod lease;
#[path = "../../host/src/pool/mod.rs"]
#[allow(
    clippy::all,
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "it is looked at where it belongs; the host uses more of it"
)]
mod pool;

mod driver {
    //! The traits and types of the host's own.
    pub(crate) use wharf::driver::*;
}

mod shards {
    //! Nothing runs anywhere else here.
    use tokio_util::task::TaskTracker;

    #[derive(Clone, Debug, Default)]
    pub(crate) struct Shards;

    impl Shards {
        pub(crate) fn here() -> Option<usize> {
            None
        }

        pub(crate) fn emptiest(&self, _load: impl Fn(usize) -> usize) -> Option<usize> {
            None
        }

        pub(crate) fn spawn<F: Future<Output: Send> + Send + 'static>(
            &self,
            _index: Option<usize>,
            tasks: &TaskTracker,
            task: F,
        ) {
            tasks.spawn(task);
        }

        pub(crate) async fn aside<F: Future<Output: Send> + Send + 'static>(&self, doing: F) -> Option<F::Output> {
            Some(doing.await)
        }
    }
}

mod telemetry {
    //! The host's own: nobody waits for anybody there.
    pub(crate) use wharf::telemetry::*;
}

mod sync {
    //! What takes the place of the module of this name in the host.
    use std::{ops::Deref, sync::Arc};

    pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};

    /// As `arc_swap::ArcSwap`, which the scheduler could not stop.
    #[derive(Debug)]
    pub(crate) struct Live<T>(Mutex<Arc<T>>);

    /// As `arc_swap::Guard`.
    pub(crate) struct Loaded<T>(Arc<T>);

    impl<T> Live<T> {
        pub(crate) fn from_pointee(value: T) -> Self {
            Self(Mutex::new(Arc::new(value)))
        }

        pub(crate) fn load(&self) -> Loaded<T> {
            Loaded(Arc::clone(&self.0.lock().unwrap()))
        }

        pub(crate) fn store(&self, value: Arc<T>) {
            *self.0.lock().unwrap() = value;
        }
    }

    impl<T> Deref for Loaded<T> {
        type Target = Arc<T>;

        fn deref(&self) -> &Arc<T> {
            &self.0
        }
    }
}

mod bed;
mod borrower;
mod explore;
mod scenarios;

//! The thread that advances the epoch of the engines.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// Advances the epoch until it is dropped, which waits for the thread to end.
///
/// A thread and not a task: it must tick while every worker of the runtime is computing.
#[derive(Debug)]
pub(super) struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(super) fn start<const N: usize>(engines: [&Engine; N], period: Duration) -> io::Result<Self> {
        let engines: Vec<EngineWeak> = engines.into_iter().map(Engine::weak).collect();
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("wharf-epoch".to_owned()).spawn(move || {
            while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                for engine in &engines {
                    if let Some(engine) = engine.upgrade() {
                        engine.increment_epoch();
                    }
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic; and if it did there is nothing to clean up.
            let _ended = thread.join();
        }
    }
}

//! Ends statements and sessions from outside. In-process: the flags that the engine's progress handler reads.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use futures::future::{BoxFuture, FutureExt, ready};

use super::shared::Shared;
use crate::driver::{Control, Failure, Session};

/// The sessions of a driver whose SQLite handle exists.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<HashMap<i64, Arc<Shared>>>);

/// A session's place in the registry; SQLite itself drops it when the handle is gone.
#[derive(Debug)]
pub(super) struct Listed {
    registry: Arc<Registry>,
    id: i64,
}

impl Registry {
    /// Lists a session until the result is dropped.
    pub(super) fn list(self: &Arc<Self>, id: i64, shared: &Arc<Shared>) -> Listed {
        self.sessions().insert(id, Arc::clone(shared));
        Listed { registry: Arc::clone(self), id }
    }

    pub(super) fn get(&self, session: &Session) -> Option<Arc<Shared>> {
        self.sessions().get(&session.id).cloned()
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<i64, Arc<Shared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.registry.sessions().remove(&self.id);
    }
}

/// The control path of an SQLite driver; cannot fail and needs no keeping alive.
#[derive(Debug)]
pub(super) struct SqliteControl(pub(super) Arc<Registry>);

impl Control for SqliteControl {
    fn cancel<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        if let Some(shared) = self.0.get(session) {
            shared.cancelled.store(true, Ordering::Release);
        }
        ready(Ok(())).boxed()
    }

    /// What runs is interrupted within about a thousand steps of the engine's virtual machine; the handle closes once its owner has
    /// dropped the connection.
    fn terminate<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        if let Some(shared) = self.0.get(session) {
            shared.terminated.store(true, Ordering::Release);
        }
        ready(Ok(())).boxed()
    }

    fn is_listed<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<bool, Failure>> {
        ready(Ok(self.0.get(session).is_some())).boxed()
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        ready(Ok(())).boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}

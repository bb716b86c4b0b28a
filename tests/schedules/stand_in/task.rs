//! Tasks of the scheduler.

/// As `tokio_util::task::TaskTracker`.
#[derive(Clone, Debug, Default)]
pub struct TaskTracker(tokio_util::task::TaskTracker);

impl TaskTracker {
    /// A tracker without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task and keeps track of it.
    pub fn spawn<F: Future<Output: Send> + Send + 'static>(&self, task: F) {
        drop(shuttle::future::spawn(self.0.track_future(task)));
    }

    /// No further task keeps [`TaskTracker::wait`] from its end.
    pub fn close(&self) {
        crate::point();
        self.0.close();
    }

    /// Waits until the tracker is closed and its tasks have ended.
    pub async fn wait(&self) {
        self.0.wait().await;
    }
}

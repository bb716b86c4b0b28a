//! Tokio's channels, with a point before each message at which others may come in between.

pub use tokio::sync::Mutex;

/// As `tokio_util::sync::CancellationToken`.
#[derive(Clone, Debug, Default)]
pub struct CancellationToken(tokio_util::sync::CancellationToken);

impl CancellationToken {
    /// A token that has not fired.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Fires.
    pub fn cancel(&self) {
        crate::point();
        self.0.cancel();
    }

    /// Waits until it fires.
    pub fn cancelled(&self) -> tokio_util::sync::WaitForCancellationFuture<'_> {
        self.0.cancelled()
    }

    /// What the future came to, unless it has fired first.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        self.0.run_until_cancelled(future).await
    }

    /// Whether it has fired.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        crate::point();
        self.0.is_cancelled()
    }
}

pub mod oneshot {
    //! One message.

    pub use tokio::sync::oneshot::Receiver;

    /// As tokio's.
    #[derive(Debug)]
    pub struct Sender<T>(tokio::sync::oneshot::Sender<T>);

    /// As tokio's.
    #[must_use]
    pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        (Sender(sender), receiver)
    }

    impl<T> Sender<T> {
        /// Sends the message.
        ///
        /// # Errors
        /// The message, when nobody is there to have it.
        pub fn send(self, message: T) -> Result<(), T> {
            crate::point();
            self.0.send(message)
        }

        /// Whether nobody is there to have it.
        #[must_use]
        pub fn is_closed(&self) -> bool {
            crate::point();
            self.0.is_closed()
        }

        /// Waits until nobody is there to have it.
        pub async fn closed(&mut self) {
            self.0.closed().await;
        }
    }
}

pub mod mpsc {
    //! Many messages.

    pub use tokio::sync::mpsc::{Receiver, UnboundedReceiver, error::SendError};

    /// As tokio's.
    #[derive(Debug)]
    pub struct Sender<T>(tokio::sync::mpsc::Sender<T>);

    /// As tokio's.
    #[derive(Debug)]
    pub struct UnboundedSender<T>(tokio::sync::mpsc::UnboundedSender<T>);

    /// As tokio's.
    #[must_use]
    pub fn channel<T>(places: usize) -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = tokio::sync::mpsc::channel(places);
        (Sender(sender), receiver)
    }

    /// As tokio's.
    #[must_use]
    pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (UnboundedSender(sender), receiver)
    }

    impl<T> Sender<T> {
        /// Sends a message, once there is a place for it.
        ///
        /// # Errors
        /// The message, when nobody is there to have it.
        pub async fn send(&self, message: T) -> Result<(), SendError<T>> {
            crate::point();
            self.0.send(message).await
        }
    }

    impl<T> UnboundedSender<T> {
        /// Sends a message.
        ///
        /// # Errors
        /// The message, when nobody is there to have it.
        pub fn send(&self, message: T) -> Result<(), SendError<T>> {
            crate::point();
            self.0.send(message)
        }
    }
}

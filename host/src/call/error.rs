//! Why a call gave no answer.

use super::Outcome;

/// Why a call gave no answer. The server turns each into a problem document; texts in it are for the log, never for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The handler trapped, panicked or exited.
    #[error("the handler trapped: {detail}")]
    Trapped {
        /// Trap and backtrace, for the log.
        detail: String,
    },
    /// The call's fuel is used up.
    #[error("the fuel is used up")]
    FuelExhausted,
    /// The handler failed after its memory, tables or instances were refused further growth.
    #[error("the memory is used up")]
    MemoryExhausted,
    /// The call's wall clock ran out.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// No place became free, or too many wait for one.
    #[error("overloaded: {limit}")]
    Overloaded {
        /// Which limit.
        limit: OverloadLimit,
    },
    /// The host is stopping.
    #[error("the host is shutting down")]
    ShuttingDown,
    /// The handler returned without an answer.
    #[error("the handler returned without an answer")]
    NoResponse,
    /// The handler answered with an error code instead of a response.
    #[error("the handler answered with an error: {code}")]
    GuestError {
        /// The `wasi:http` error code, for the log.
        code: String,
    },
    /// The handler's response cannot be sent: a status out of range, a body that is not as long as it says.
    #[error("the handler's response is invalid: {detail}")]
    InvalidResponse {
        /// What is wrong, for the log.
        detail: String,
    },
    /// The request cannot be handed to a handler: no host, or one that is not text.
    #[error("the request is invalid: {detail}")]
    InvalidRequest {
        /// What is wrong.
        detail: String,
    },
    /// The request's body is longer than allowed.
    #[error("the request's body is too large, more than {limit_bytes} bytes")]
    BodyTooLarge {
        /// The most bytes that are allowed.
        limit_bytes: u64,
    },
    /// The client stopped sending the request's body.
    #[error("the request's body has stalled")]
    BodyStalled,
    /// The client went away.
    #[error("the client has gone away")]
    ClientGone,
    /// The client stopped reading the answer.
    #[error("the client has stopped reading")]
    ReaderStalled,
    /// The host itself panicked while it served the call.
    #[error("the host panicked")]
    HostPanicked,
    /// The operator ended it.
    #[error("the operator has cancelled the call")]
    Cancelled,
}

/// Which limit an overloaded host has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OverloadLimit {
    /// Too many calls wait for a place of this plugin.
    PluginQueue,
    /// No place of this plugin became free in time.
    PluginConcurrency,
    /// Too many calls wait for an instance.
    HostQueue,
    /// No instance became free in time.
    HostInstances,
}

impl std::fmt::Display for OverloadLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PluginQueue => "the plugin's queue is full",
            Self::PluginConcurrency => "the plugin runs as many calls as it may",
            Self::HostQueue => "the host's queue is full",
            Self::HostInstances => "the host runs as many instances as it may",
        })
    }
}

impl CallError {
    /// How the call is counted.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Trapped { .. } => Outcome::Trapped,
            Self::FuelExhausted => Outcome::FuelExhausted,
            Self::MemoryExhausted => Outcome::MemoryExhausted,
            Self::DeadlineExceeded => Outcome::DeadlineExceeded,
            Self::Overloaded { .. } => Outcome::Overloaded,
            Self::ShuttingDown => Outcome::ShuttingDown,
            Self::NoResponse => Outcome::NoResponse,
            Self::GuestError { .. } => Outcome::GuestError,
            Self::InvalidResponse { .. } => Outcome::InvalidResponse,
            Self::InvalidRequest { .. } => Outcome::InvalidRequest,
            Self::BodyTooLarge { .. } => Outcome::BodyTooLarge,
            Self::BodyStalled => Outcome::BodyStalled,
            Self::ClientGone => Outcome::ClientGone,
            Self::ReaderStalled => Outcome::ReaderStalled,
            Self::HostPanicked => Outcome::HostPanicked,
            Self::Cancelled => Outcome::Cancelled,
        }
    }
}

/// Why a request's body ended early; the server's body yields it.
///
/// The call ends with the matching [`CallError`] unless the answer has begun, and the handler reads an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestBodyError {
    /// It is longer than allowed.
    #[error("the body is longer than {limit_bytes} bytes")]
    TooLarge {
        /// The most bytes that are allowed.
        limit_bytes: u64,
    },
    /// Nothing came for too long.
    #[error("the body has stalled")]
    Stalled,
    /// The connection is gone, or what came over it is not HTTP.
    #[error("the client has gone away")]
    ClientGone,
}

impl From<RequestBodyError> for CallError {
    fn from(error: RequestBodyError) -> Self {
        match error {
            RequestBodyError::TooLarge { limit_bytes } => Self::BodyTooLarge { limit_bytes },
            RequestBodyError::Stalled => Self::BodyStalled,
            RequestBodyError::ClientGone => Self::ClientGone,
        }
    }
}

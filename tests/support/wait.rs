//! Waiting for a real condition, within a bound.

use std::time::Duration;

use tokio::time::Instant;

/// Asks until the answer is `Ok`, and gives back what it held. Every round must await something that takes time of its own, such as a
/// question to a database or to the host: there is no pause in between.
///
/// # Panics
/// After `bound`, with the last `Err` and what was waited for.
pub async fn until<T, F: Future<Output = Result<T, String>>>(what: &str, bound: Duration, mut ask: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        match ask().await {
            Ok(value) => return value,
            Err(last) => assert!(start.elapsed() < bound, "waited {bound:?} for {what}: {last}"),
        }
        tokio::task::yield_now().await;
    }
}

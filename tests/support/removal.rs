//! What a test leaves on a server that outlives it.

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    time::Duration,
};

/// How long the end of a test waits. What takes longer goes on beside the tests that follow.
///
/// It must end: PostgreSQL's DROP DATABASE waits for every session of the server to have noticed it (`WaitForProcSignalBarrier`), those that
/// are logging in too, and the one who logs in may be another task of the very thread that is waiting here.
const PATIENCE: Duration = Duration::from_secs(5);

/// Removes what `name` names, in a thread of its own, because the runtime of the test is busy dropping it. Blocks until it is removed, for 5 s
/// at most: a server that was given by URL should not keep what a failed test left. It does when the process ends before a removal that takes
/// longer. What fails is told on stderr, and fails no test.
pub fn remove<F>(name: &str, removal: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = anyhow::Result<()>>,
{
    let (ended, ending) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let _ = ended.send(runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(removal())));
    });
    match ending.recv_timeout(PATIENCE) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("{name} was not dropped: {error}"),
        Err(RecvTimeoutError::Timeout) => eprintln!("{name} was not dropped within {PATIENCE:?}; it is still tried"),
        Err(RecvTimeoutError::Disconnected) => eprintln!("{name} was not dropped: the attempt panicked"),
    }
}

//! The end of a database: everything is taken back and closed, and the server is asked what is left.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::join_all};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    AcquireError, Database, Settings,
    control::ControlPath,
    database::{Inner, Pool},
    slot::Notice,
};
use crate::driver::{Failure, Session};

/// How soon the server is asked again about sessions that it still lists in the end.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long sessions have left once somebody is in a hurry.
const HURRY: Duration = Duration::from_millis(500);

/// What closing a control path may last.
pub(super) const GOODBYE: Duration = Duration::from_millis(100);

/// What was left when a database was closed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Leftovers {
    /// Sessions that the server still listed in the end or, where it could not be asked, did not confirm as gone before.
    pub sessions: u32,
    /// Why the server could not be asked in the end.
    pub unasked: Option<Failure>,
}

impl Database {
    /// Cuts a [`Database::close`] short, whether it goes on already or not.
    pub fn hurry(&self) {
        self.0.hurry.cancel();
    }

    /// Closes all pools: nobody is lent anything any more, who waits is told, what is lent is taken back, every session is closed. In the
    /// end the server is asked, over a connection opened for that, which of the sessions it still lists.
    ///
    /// # Bounds
    /// Sessions have until `deadline`, or for half a second after [`Database::hurry`]; the question has `bounds.kill` and `bounds.confirm` after
    /// that, and closing the control paths 100 ms.
    pub async fn close(&self, deadline: Instant) -> Leftovers {
        let (waiters, homes, mut sessions) = {
            let mut state = self.0.state();
            state.closed = true;
            let homes = state.homes();
            let mut sessions = vec![Vec::new(); homes.len()];
            for entry in state.slots() {
                // A slot that is gone needs no notice.
                let _ = entry.slot.notices.send(Notice::Revoke);
                if let Some(pool) = homes.iter().position(|home| Arc::ptr_eq(home, &entry.slot.home)) {
                    sessions[pool].extend(entry.session.clone());
                }
            }
            (state.queue.drain(|_| true), homes, sessions)
        };
        for waiter in waiters {
            // Who gave up meanwhile does not hear it.
            let _ = waiter.answer.send(Err(AcquireError::ShuttingDown));
        }
        self.0.closing.cancel();
        self.0.tasks.close();
        let closing = async {
            self.0.tasks.wait().await;
            join_all(homes.iter().map(|home| home.driver.close())).await;
        };
        tokio::select! {
            _ = timeout_at(deadline, closing) => {}
            () = self.0.hurry.cancelled().then(|()| sleep(HURRY)) => {}
        }
        self.0.closed.cancel();
        let controls = join_all(homes.iter().map(|home| home.control.close(GOODBYE))).await;
        for (sessions, control) in sessions.iter_mut().zip(controls) {
            sessions.extend(control);
        }
        let answers = join_all(homes.iter().zip(&sessions).map(|(home, sessions)| self.0.ask_what_is_left(home, sessions))).await;
        let unconfirmed = self.0.state().counts().total();
        answers.into_iter().collect::<Result<Vec<u32>, Failure>>().map_or_else(
            |failure| Leftovers { sessions: unconfirmed, unasked: Some(failure) },
            |left| Leftovers { sessions: left.iter().sum(), unasked: None },
        )
    }
}

impl Inner {
    /// How many of the sessions the server still lists, asked over a connection of its own.
    pub(super) async fn ask_what_is_left(&self, pool: &Pool, sessions: &[Session]) -> Result<u32, Failure> {
        if sessions.is_empty() {
            return Ok(0);
        }
        let Settings { connect_timeout, bounds, .. } = **self.settings.load();
        let fresh = ControlPath::new(Arc::clone(&pool.driver), self.shards.clone(), connect_timeout);
        let deadline = Instant::now() + bounds.kill + bounds.confirm;
        let mut left = Vec::from(sessions);
        loop {
            let mut listed = Vec::new();
            for session in left {
                if fresh.is_listed(&session, deadline.saturating_duration_since(Instant::now())).await? {
                    listed.push(session);
                }
            }
            left = listed;
            // A server process takes about a millisecond to go away after its client has.
            if left.is_empty() || Instant::now() + LOOK_AGAIN >= deadline {
                fresh.close(GOODBYE).await;
                return Ok(u32::try_from(left.len()).unwrap_or(u32::MAX));
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

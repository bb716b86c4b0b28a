//! Whether a database can be used just now.

use tokio::time::Instant;

use super::database::Database;

impl Database {
    /// Since when it is down: its control path has failed, or a credential has no session left and gets none. The control path is asked
    /// every second; a session is opened for who waits and for `min_connections`, and what nobody wants, nobody knows to be missing.
    #[must_use]
    pub fn down_since(&self) -> Option<Instant> {
        let pools = &self.0.pools;
        let control = pools.iter().filter_map(|pool| pool.control.down_since()).min();
        let state = self.0.state();
        let sessions = (0..pools.len()).filter_map(|pool| state.down_since(pool)).min();
        control.into_iter().chain(sessions).min()
    }
}

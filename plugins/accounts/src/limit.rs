//! How often something may be tried for one e-mail address, whether it has an account or not.

use std::time::Duration;

use wharf_sdk::documents::prelude::*;

use crate::store::{Attempts, attempts};
use crate::token;

/// So many attempts in so long a time, which begins with the first.
pub(crate) struct Limit {
    what: &'static str,
    attempts: i64,
    window: Duration,
}

pub(crate) const LOG_IN: Limit = Limit { what: "log-in", attempts: 10, window: Duration::from_secs(15 * 60) };
pub(crate) const RESET: Limit = Limit { what: "password-reset", attempts: 3, window: Duration::from_secs(60 * 60) };

impl Limit {
    /// Counts an attempt, before anything is looked at that it might tell of.
    ///
    /// # Errors
    /// 429 when there were too many, with `Retry-After`.
    pub(crate) fn count(&self, email: &str) -> Result<()> {
        let now = DateTime::now();
        // Of two that count for the first time at the same moment, one finds the other's document in its way.
        let attempts = match self.add(email, now) {
            Err(error) if error.is_duplicate_key() => self.add(email, now)?,
            result => result?,
        };
        match attempts {
            Some(attempts) if attempts.count > self.attempts => Err(refusal(&attempts, now)),
            // None where a server reads back what it counted only after a log-in that succeeded has made it forget: SecantusDB does.
            _ => Ok(()),
        }
    }

    /// Forgets the attempts, after one that succeeded.
    pub(crate) fn forget(&self, email: &str) -> Result<()> {
        attempts()?.delete_one(doc! { "_id": self.key(email) }).run()?;
        Ok(())
    }

    fn add(&self, email: &str, now: DateTime) -> Result<Option<Attempts>> {
        attempts()?.find_and_update(doc! { "_id": self.key(email) }, self.one_more(now)).upsert().return_new().run()
    }

    /// Adds one to what is counted, or begins anew.
    fn one_more(&self, now: DateTime) -> Vec<Document> {
        let counts = doc! { "$gt": ["$expires", now] };
        vec![doc! { "$set": {
            "count": { "$cond": [&counts, { "$add": ["$count", 1] }, 1] },
            "expires": { "$cond": [&counts, "$expires", now.saturating_add_duration(self.window)] },
        } }]
    }

    /// An address may be of any length and what not; its hash is not.
    fn key(&self, email: &str) -> Document {
        doc! { "what": self.what, "whom": token::hash(email) }
    }
}

fn refusal(attempts: &Attempts, now: DateTime) -> Error {
    let left = attempts.expires.saturating_duration_since(now).as_secs() + 1;
    Problem::new(429, "too-many-attempts")
        .detail("too many attempts, try again later")
        .header("retry-after", left.to_string())
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_and_for_whom_is_kept_apart() {
        let keys = [LOG_IN.key("ada@example.org"), LOG_IN.key("piet@example.org"), RESET.key("ada@example.org")];
        assert!(keys[0] != keys[1] && keys[0] != keys[2]);
        assert_eq!(keys[0], LOG_IN.key("ada@example.org"));
    }

    #[test]
    fn a_window_begins_with_its_first_attempt() {
        let now = DateTime::from_millis(1_000);
        let stage = &LOG_IN.one_more(now)[0];
        let expires = stage.get_document("$set").unwrap().get_document("expires").unwrap().get_array("$cond").unwrap();
        assert_eq!(expires[0], Bson::from(doc! { "$gt": ["$expires", now] }));
        assert_eq!(expires[1..], [Bson::from("$expires"), Bson::from(DateTime::from_millis(901_000))]);
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let attempts = Attempts { count: 11, expires: DateTime::from_millis(61_500) };
        let Error::Rejected(problem) = refusal(&attempts, DateTime::from_millis(1_000)) else { panic!("a rejection") };
        let response = problem.into_response::<()>();
        assert_eq!(response.header("retry-after"), Some("61"));
    }
}

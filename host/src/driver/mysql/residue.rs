//! What a borrower's statements may have left in the session, by what is known of their texts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::text::{Class, Conditions, MAX_BYTES, classify};

/// Texts that are remembered; all are forgotten when one more comes.
const MAX_TEXTS: usize = 256;
/// How long the catalog's confirmation counts: a table may become a view, or get a trigger.
const CONFIRMED_FOR: Duration = Duration::from_secs(60);
/// Statements of one borrower that wait for confirmation; with more, a new session is cheaper.
const MAX_PENDING: usize = 16;

/// What the catalog said of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing stays behind.
    Harmless,
    /// Nothing but what `LAST_INSERT_ID()` and the like tell.
    Wrote,
    /// Anything may stay behind, and nothing short of a new session clears it.
    Unknown,
}

/// The texts that the sessions of one driver have met.
#[derive(Debug, Default)]
pub(super) struct Classifier {
    known: Mutex<HashMap<Arc<str>, Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    class: Arc<Class>,
    confirmed: Option<(Verdict, Instant)>,
}

impl Classifier {
    fn remember(&self, sql: &Arc<str>, known: Known) {
        // The map is whole whatever panicked beside it.
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_TEXTS && !all.contains_key(sql) {
            all.clear();
        }
        all.insert(Arc::clone(sql), known);
    }

    fn class(&self, sql: &Arc<str>) -> Known {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        known.unwrap_or_else(|| {
            let known = Known { class: Arc::new(classify(sql)), confirmed: None };
            // Longer texts are all unknown; there is nothing to remember.
            if sql.len() <= MAX_BYTES {
                self.remember(sql, known.clone());
            }
            known
        })
    }

    /// Whether a statement writes nothing, as far as is known of it.
    pub(super) fn only_reads(&self, sql: &Arc<str>) -> bool {
        let Known { class, confirmed } = self.class(sql);
        let reads = matches!(&*class, Class::Conditional(conditions) if !conditions.writes);
        reads && confirmed.is_none_or(|(verdict, _)| verdict == Verdict::Harmless)
    }

    /// Whether a statement may see what the one before it has left, or leave it for the next to see.
    pub(super) fn may_show(&self, sql: &Arc<str>) -> bool {
        match &*self.class(sql).class {
            Class::Conditional(conditions) => conditions.looks || !conditions.uses_table,
            Class::Unknown => true,
        }
    }

    /// Keeps what the catalog said.
    pub(super) fn confirm(&self, pending: &Pending, verdict: Verdict) {
        let known = Known { class: Arc::clone(&pending.class), confirmed: Some((verdict, Instant::now())) };
        self.remember(&pending.sql, known);
    }
}

/// A statement that ran and that the catalog must confirm to have been harmless.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    sql: Arc<str>,
    class: Arc<Class>,
}

impl Pending {
    /// What to look up.
    pub(super) fn conditions(&self) -> Option<&Conditions> {
        match &*self.class {
            Class::Conditional(conditions) => Some(conditions),
            Class::Unknown => None,
        }
    }
}

/// What the current borrower may have left.
#[derive(Debug, Default)]
pub(super) struct Residue {
    /// Anything: the session cannot be used again.
    pub(super) anything: bool,
    /// What `LAST_INSERT_ID()`, `ROW_COUNT()` and `SHOW WARNINGS` tell.
    pub(super) wrote: bool,
    /// Perhaps nothing.
    pub(super) pending: Vec<Pending>,
}

impl Residue {
    /// Takes note of a statement that is about to run.
    pub(super) fn note(&mut self, sql: &Arc<str>, classifier: &Classifier) {
        if self.anything {
            return;
        }
        let Known { class, confirmed } = classifier.class(sql);
        match (&*class, confirmed) {
            (Class::Unknown, _) => self.add(Verdict::Unknown),
            (Class::Conditional(_), Some((verdict, at))) if at.elapsed() < CONFIRMED_FOR => self.add(verdict),
            (Class::Conditional(_), _) if self.pending.iter().any(|pending| pending.sql == *sql) => {}
            (Class::Conditional(_), _) if self.pending.len() >= MAX_PENDING => self.add(Verdict::Unknown),
            (Class::Conditional(_), _) => self.pending.push(Pending { sql: Arc::clone(sql), class }),
        }
    }

    /// Takes note of what is known of a statement.
    pub(super) fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Harmless => {}
            Verdict::Wrote => self.wrote = true,
            Verdict::Unknown => self.anything = true,
        }
    }

    /// Whether nothing was left for certain.
    pub(super) fn is_empty(&self) -> bool {
        !self.anything && !self.wrote && self.pending.is_empty()
    }
}

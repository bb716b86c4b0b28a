//! What a borrower's statements may have left in the session, by what is known of their texts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::driver::sql::classify::{Class, Conditions, MAX_BYTES, classify};

/// Texts that are remembered; all are forgotten when one more comes.
const MAX_TEXTS: usize = 256;
/// How long the catalog's confirmation counts: a table may become a view.
const CONFIRMED_FOR: Duration = Duration::from_secs(60);
/// Statements of one borrower that wait for confirmation; with more, a reset is cheaper.
const MAX_PENDING: usize = 16;

/// What the catalog said of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing stays behind.
    Harmless,
    /// Nothing but what `currval` tells.
    MovesSequence,
    /// Code of the schema runs (a view, a trigger, a policy, a function), which may leave anything behind.
    SchemaCode,
    /// Anything may stay behind, settings that change how later statements are read among it.
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
    fn known(&self, sql: &Arc<str>) -> Option<Known> {
        // The map is whole whatever panicked beside it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }

    fn remember(&self, sql: &Arc<str>, known: Known) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_TEXTS && !all.contains_key(sql) {
            all.clear();
        }
        all.insert(Arc::clone(sql), known);
    }

    fn class(&self, sql: &Arc<str>) -> Known {
        self.known(sql).unwrap_or_else(|| {
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
        class.only_reads() && confirmed.is_none_or(|(verdict, _)| verdict == Verdict::Harmless)
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
            _ => None,
        }
    }
}

/// What the current borrower may have left.
#[derive(Debug, Default)]
pub(super) struct Residue {
    /// Anything: only a full reset helps.
    pub(super) anything: bool,
    /// Settings that change how a text is read, such as the search path.
    pub(super) settings: bool,
    /// What `currval` tells.
    pub(super) sequences: bool,
    /// Perhaps nothing.
    pub(super) pending: Vec<Pending>,
}

impl Residue {
    /// Takes note of a statement that is about to run.
    pub(super) fn note(&mut self, sql: &Arc<str>, classifier: &Classifier) {
        if self.settings {
            return;
        }
        let Known { class, confirmed } = classifier.class(sql);
        match (&*class, confirmed) {
            (Class::Harmless, _) => {}
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
            Verdict::MovesSequence => self.sequences = true,
            Verdict::SchemaCode => self.anything = true,
            Verdict::Unknown => (self.anything, self.settings) = (true, true),
        }
    }

    /// Whether settings may have changed, as far as is known.
    pub(super) fn may_change_settings(&self) -> bool {
        self.settings || !self.pending.is_empty()
    }

    /// Whether nothing was left for certain.
    pub(super) fn is_empty(&self) -> bool {
        !self.anything && !self.sequences && self.pending.is_empty()
    }
}

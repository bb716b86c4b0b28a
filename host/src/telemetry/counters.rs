//! A fixed set of named counters, counted without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that only go up, told apart by a place in a list of names that never changes.
#[derive(Debug)]
pub struct Counters {
    names: Vec<&'static str>,
    values: Vec<AtomicU64>,
}

impl Counters {
    /// One counter a name, all at zero.
    #[must_use]
    pub fn new(names: Vec<&'static str>) -> Self {
        let values = names.iter().map(|_| AtomicU64::new(0)).collect();
        Self { names, values }
    }

    /// Counts one. A place beyond the names is not counted.
    pub fn count(&self, place: usize) {
        if let Some(value) = self.values.get(place) {
            value.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The count under a name; zero for a name that is not there.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| count)
    }

    /// All names with their counts, in order of their places. Not one moment's picture: counting goes on meanwhile.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.names.iter().zip(&self.values).map(|(name, value)| (*name, value.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_place_and_ignores_what_is_not_there() {
        let counters = Counters::new(vec!["answered", "overloaded"]);
        counters.count(1);
        counters.count(1);
        counters.count(2);
        assert_eq!(counters.iter().collect::<Vec<_>>(), [("answered", 0), ("overloaded", 2)]);
        assert_eq!(counters.get("overloaded"), 2);
        assert_eq!(counters.get("unknown"), 0);
    }
}

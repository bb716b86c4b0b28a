//! Durations of one metric, told apart by words: each combination has a histogram of its own, from its first use on.

use std::{sync::Arc, time::Duration};

use super::{
    Bounds, Histogram,
    histogram::is_on,
    text::{Histograms, Labels},
};
use crate::sync::Live;

/// Histograms by `N` words, which are constants: who gives others bounds how many there may be.
///
/// Few combinations are used by one family, so they are looked through one by one, without a lock.
#[derive(Debug)]
pub struct Family<const N: usize> {
    names: [&'static str; N],
    bounds: &'static Bounds,
    /// Replaced as a whole when there is one more.
    series: Live<Vec<Series<N>>>,
}

#[derive(Clone, Debug)]
struct Series<const N: usize> {
    words: [&'static str; N],
    histogram: Arc<Histogram>,
}

impl<const N: usize> Family<N> {
    /// None yet; the words are values of labels of these names.
    #[must_use]
    pub fn new(names: [&'static str; N], bounds: &'static Bounds) -> Self {
        Self { names, bounds, series: Live::from_pointee(Vec::new()) }
    }

    /// Counts one.
    pub fn record(&self, words: [&'static str; N], took: Duration) {
        self.record_within(words, took, || true);
    }

    /// Counts one, if it is not the first of its words or `may_begin` says that there may be one more; whether it was counted.
    pub fn record_within(&self, words: [&'static str; N], took: Duration, may_begin: impl FnOnce() -> bool) -> bool {
        if !is_on() {
            return true;
        }
        if let Some(known) = find(&self.series.load(), words) {
            known.record(took);
            return true;
        }
        if !may_begin() {
            return false;
        }
        let new = Arc::new(Histogram::new(self.bounds));
        self.series.rcu(|known| {
            let mut series = Vec::clone(known);
            // Another thread may have begun it meanwhile.
            if find(&series, words).is_none() {
                series.push(Series { words, histogram: Arc::clone(&new) });
            }
            series
        });
        if let Some(known) = find(&self.series.load(), words) {
            known.record(took);
        }
        true
    }

    /// How many combinations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.load().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often these words were counted.
    #[must_use]
    pub fn count(&self, words: [&'static str; N]) -> u64 {
        find(&self.series.load(), words).map_or(0, Histogram::count)
    }

    /// Tells all of them, with `labels` before those of the words. A label without a word is left out.
    pub fn tell(&self, text: &mut Histograms<'_>, labels: Labels<'_>) {
        for Series { words, histogram } in self.series.load().iter() {
            let own = self.names.iter().copied().zip(words.iter().copied()).filter(|(_, word)| !word.is_empty());
            let all: Vec<(&str, &str)> = labels.iter().copied().chain(own).collect();
            text.durations(&all, histogram);
        }
    }
}

fn find<'a, const N: usize>(series: &'a [Series<N>], words: [&'static str; N]) -> Option<&'a Histogram> {
    series.iter().find(|it| it.words == words).map(|it| &*it.histogram)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{super::Text, *};

    static BOUNDS: Bounds = Bounds::micros(&[1_000]);

    #[test]
    fn each_combination_is_counted_apart_whoever_begins_it() {
        let family = Arc::new(Family::new(["operation", "error"], &BOUNDS));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let family = Arc::clone(&family);
                thread::spawn(move || {
                    for words in [["query", ""], ["query", "busy"], ["commit", ""]] {
                        family.record(words, Duration::from_micros(1));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!([family.count(["query", ""]), family.count(["query", "busy"]), family.count(["commit", ""])], [8; 3]);
        assert_eq!((family.len(), family.count(["begin", ""])), (3, 0));
    }

    #[test]
    fn no_more_combinations_begin_than_may() {
        let family = Family::new(["word"], &BOUNDS);
        assert!(!family.record_within(["a"], Duration::ZERO, || false));
        assert!(family.is_empty());
        assert!(family.record_within(["a"], Duration::ZERO, || true));
        assert!(family.record_within(["a"], Duration::ZERO, || unreachable!("it has begun")));
        assert_eq!((family.len(), family.count(["a"])), (1, 2));
    }

    #[test]
    fn a_label_without_a_word_is_left_out() {
        let family = Family::new(["operation", "error"], &BOUNDS);
        family.record(["query", ""], Duration::from_micros(1));
        let mut text = Text::new();
        family.tell(&mut text.histogram("it_seconds", "It."), &[("pool", "a")]);
        let text = text.finish();
        assert!(text.contains("it_seconds_count{pool=\"a\",operation=\"query\"} 1\n"), "{text}");
    }
}

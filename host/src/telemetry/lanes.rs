//! A copy of something for each thread that serves, so that no core waits for a cache line that another has just written.

use std::{cell::Cell, num::NonZeroUsize, sync::LazyLock, thread};

/// More copies than this are not made, however many cores there are.
const MOST: usize = 16;

/// One for each core's shard, and before them one that all other threads share.
static COUNT: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, NonZeroUsize::get).saturating_add(1).min(MOST));

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Gives this thread the copy of a shard. With more shards than copies, several share one.
pub fn settle(shard: usize) {
    HERE.set(1 + shard % (*COUNT - 1));
}

/// The number of this thread's copy.
#[inline]
#[must_use]
pub fn here() -> usize {
    HERE.get()
}

/// The copies. Everything has as many, numbered alike.
#[derive(Debug)]
pub struct Lanes<T>(Box<[Lane<T>]>);

/// Two cache lines, since processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Lane<T>(T);

impl<T> Lanes<T> {
    /// As many as there are, made one by one.
    #[must_use]
    pub fn new(mut make: impl FnMut() -> T) -> Self {
        Self((0..*COUNT).map(|_| Lane(make())).collect())
    }

    /// How many there are; at least two.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// This thread's copy.
    #[must_use]
    pub fn here(&self) -> &T {
        self.at(here())
    }

    /// The copy of a number below [`Self::count`].
    ///
    /// # Panics
    /// For any other number.
    #[must_use]
    pub fn at(&self, number: usize) -> &T {
        &self.0[number].0
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|lane| &lane.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_has_a_copy_to_itself_while_there_are_enough() {
        let lanes = Lanes::new(|| ());
        let count = lanes.count();
        assert!((2..=MOST).contains(&count));
        let of = |shard: usize| {
            let thread = thread::spawn(move || {
                settle(shard);
                here()
            });
            thread.join().unwrap()
        };
        assert_eq!(thread::spawn(here).join().unwrap(), 0);
        let places: Vec<usize> = (0..count - 1).map(of).collect();
        assert_eq!(places, (1..count).collect::<Vec<_>>());
        assert_eq!(of(count - 1), 1);
    }

    #[test]
    fn copies_lie_apart() {
        let lanes = Lanes::new(|| 0_u8);
        let [first, second] = [0, 1].map(|number| std::ptr::from_ref(lanes.at(number)).addr());
        assert_eq!((first % 128, second - first), (0, 128));
    }
}

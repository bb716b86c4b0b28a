//! Numbered places: who leaves one frees its number for the next who comes.

use std::ops::{Index, IndexMut};

/// Things by number. Numbers stay small, since the lowest that is free is given out first.
#[derive(Debug)]
pub(super) struct Places<T>(Vec<Option<T>>);

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Places<T> {
    /// Takes a place for what `make` makes of its number.
    pub(super) fn add(&mut self, make: impl FnOnce(usize) -> T) -> usize {
        let number = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        let made = Some(make(number));
        match self.0.get_mut(number) {
            Some(free) => *free = made,
            None => self.0.push(made),
        }
        number
    }

    /// Frees a place.
    pub(super) fn remove(&mut self, number: usize) -> Option<T> {
        self.0.get_mut(number)?.take()
    }

    pub(super) fn get(&self, number: usize) -> Option<&T> {
        self.0.get(number)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.0.get_mut(number)?.as_mut()
    }

    /// All that are there, with their numbers, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0.iter().enumerate().filter_map(|(number, it)| Some((number, it.as_ref()?)))
    }
}

impl<T> Index<usize> for Places<T> {
    type Output = T;

    fn index(&self, number: usize) -> &T {
        let Some(it) = self.get(number) else { unreachable!("place {number} is free") };
        it
    }
}

impl<T> IndexMut<usize> for Places<T> {
    fn index_mut(&mut self, number: usize) -> &mut T {
        let Some(it) = self.get_mut(number) else { unreachable!("place {number} is free") };
        it
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_number_that_is_free_is_given_out_first() {
        let mut places = Places::default();
        assert_eq!([0, 1, 2].map(|_| places.add(|number| number * 10)), [0, 1, 2]);
        assert_eq!((places.remove(1), places.remove(1), places.remove(7)), (Some(10), None, None));
        assert_eq!(places.iter().collect::<Vec<_>>(), [(0, &0), (2, &20)]);
        assert_eq!((places.add(|_| 11), places.add(|_| 30)), (1, 3));
        places[3] += 1;
        assert_eq!((places[1], places[3], places.get(4)), (11, 31, None));
    }
}

//! Values in the order in which they first come, each once.

use std::{collections::HashMap, hash::Hash};

/// Distinct values, and the place of each.
#[derive(Debug)]
pub struct Distinct<T> {
    values: Vec<T>,
    places: HashMap<T, usize>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self { values: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Copy + Eq + Hash> Distinct<T> {
    /// The place of a value, which is behind all others if it is new.
    pub fn place(&mut self, value: T) -> usize {
        *self.places.entry(value).or_insert_with(|| {
            self.values.push(value);
            self.values.len() - 1
        })
    }

    /// The values, each at its place.
    pub fn into_values(self) -> Vec<T> {
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_place() {
        let mut distinct = Distinct::default();
        assert_eq!(["b", "a", "b", "c", "a"].map(|text| distinct.place(text)), [0, 1, 0, 2, 1]);
        assert_eq!(distinct.into_values(), ["b", "a", "c"]);
    }
}

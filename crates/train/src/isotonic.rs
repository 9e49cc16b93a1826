//! Isotonic regression: the non-decreasing function that is nearest to given values.
//!
//! Source: the pool-adjacent-violators algorithm, as scikit-learn's `IsotonicRegression(out_of_bounds="clip")` has it: equal
//! places count as one, and between places the function is linear.

/// The function, by its values at the places where it was fitted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Isotonic {
    places: Vec<f64>, // rising
    values: Vec<f64>, // not falling
}

impl Isotonic {
    /// Fits values at places.
    ///
    /// # Panics
    /// If there are none, or one is no number.
    pub(crate) fn fit(places: &[f64], values: &[f64]) -> Self {
        let mut points: Vec<(f64, f64)> = places.iter().copied().zip(values.iter().copied()).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Each place once, with the sum of its values and their number.
        let mut unique: Vec<(f64, f64, f64)> = Vec::new();
        for (place, value) in points {
            match unique.last_mut() {
                Some((last, sum, count)) if *last == place => (*sum, *count) = (*sum + value, *count + 1.0),
                _ => unique.push((place, value, 1.0)),
            }
        }
        // Neighbouring places that share a value: its sum, its weight, and how many places.
        let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
        for &(_, sum, count) in &unique {
            blocks.push((sum, count, 1));
            while let [.., before, last] = &blocks[..]
                && before.0 / before.1 >= last.0 / last.1
            {
                let pooled = (before.0 + last.0, before.1 + last.1, before.2 + last.2);
                blocks.truncate(blocks.len() - 2);
                blocks.push(pooled);
            }
        }
        let values = blocks.iter().flat_map(|&(sum, count, places)| std::iter::repeat_n(sum / count, places)).collect();
        Self { places: unique.iter().map(|&(place, ..)| place).collect(), values }
    }

    /// Its value at a place.
    pub(crate) fn at(&self, place: f64) -> f64 {
        let above = self.places.partition_point(|own| *own < place);
        match (above.checked_sub(1), self.places.get(above)) {
            (None, _) => self.values[0],
            (Some(below), None) => self.values[below],
            (Some(below), Some(next)) => {
                let share = (place - self.places[below]) / (next - self.places[below]);
                self.values[below] + share * (self.values[above] - self.values[below])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_equals_scikit_learns() {
        // x, y = [0.1, 0.4, 0.35, 0.8, 0.8, 0.95, 0.2], [1, 2, 3, 2.5, 4, 3, 0.5]
        // f = IsotonicRegression(out_of_bounds="clip").fit(x, y); f.predict([0, 0.1, 0.15, 0.3, 0.375, 0.6, 0.9, 2])
        let places = [0.1, 0.4, 0.35, 0.8, 0.8, 0.95, 0.2];
        let function = Isotonic::fit(&places, &[1.0, 2.0, 3.0, 2.5, 4.0, 3.0, 0.5]);
        let expected = [
            (0.0, 0.75),
            (0.1, 0.75),
            (0.15, 0.75),
            (0.3, 1.916_666_666_666_666_3),
            (0.375, 2.5),
            (0.6, 2.833_333_333_333_333),
            (0.9, 3.166_666_666_666_666_5),
            (2.0, 3.166_666_666_666_666_5),
        ];
        for (place, value) in expected {
            assert!((function.at(place) - value).abs() < 1e-12, "{place}: {} and {value}", function.at(place));
        }
        let constant = Isotonic::fit(&[1.0, 1.0], &[2.0, 4.0]);
        assert_eq!([constant.at(0.0), constant.at(1.0), constant.at(5.0)], [3.0; 3]);
    }
}

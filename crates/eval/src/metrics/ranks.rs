//! Ranks in which equal values share the average of theirs.

/// The order of some values, sorted once; any selection of them is then ranked by counting.
pub(super) struct Ranking {
    group: Vec<usize>, // (rows): which of the distinct values, from the smallest, a row holds
    groups: usize,
}

impl Ranking {
    /// Sorts `values`, which must not hold NaN.
    pub(super) fn new(values: &[f64]) -> Self {
        let mut order: Vec<usize> = (0..values.len()).collect();
        // Not `total_cmp`: 0 and -0 are equal.
        order.sort_by(|&a, &b| values[a].partial_cmp(&values[b]).expect("no NaN among the values"));
        let mut group = vec![0; values.len()];
        let mut groups = 0;
        for (place, &row) in order.iter().enumerate() {
            if place == 0 || values[row] != values[order[place - 1]] {
                groups += 1;
            }
            group[row] = groups - 1;
        }
        Self { group, groups }
    }

    /// Ranks, from 1, of the selected `rows` among themselves; a row may be selected more than once.
    pub(super) fn ranks(&self, rows: &[usize]) -> Vec<f64> {
        let mut counts = vec![0_usize; self.groups];
        for &row in rows {
            counts[self.group[row]] += 1;
        }
        let mut below = 0;
        let averages: Vec<f64> = counts
            .into_iter()
            .map(|count| {
                below += count;
                below as f64 - (count as f64 - 1.0) / 2.0
            })
            .collect(); // (groups)
        rows.iter().map(|&row| averages[self.group[row]]).collect()
    }
}

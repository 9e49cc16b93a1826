//! Sums over the tokens of a batch.

use std::ops::Range;

use rayon::prelude::*;

use crate::vectorize::vectorize;

/// Tokens that are summed together before all are: fixed, so that the result does not depend on the number of threads.
const TOKENS: usize = 64;

/// Adds to `sums` the sums of some columns of (tokens, width).
pub fn add_column_sums(matrix: &[f32], width: usize, columns: Range<usize>, sums: &mut [f32]) {
    sum_rows(
        matrix.len() / width,
        sums,
        #[inline(always)]
        |sums, token| {
            let row = &matrix[token * width..][columns.clone()];
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        },
    );
}

/// Adds to `sums`, (width), what `add` adds of each token: it gets the partial sums and the token's number.
pub(crate) fn sum_rows(tokens: usize, sums: &mut [f32], add: impl Fn(&mut [f32], usize) + Sync) {
    let width = sums.len();
    let partial = |first: usize| {
        let mut partial = vec![0.0; width];
        vectorize(
            #[inline(always)]
            || (first..tokens.min(first + TOKENS)).for_each(|token| add(&mut partial, token)),
        );
        partial
    };
    let partials: Vec<Vec<f32>> = (0..tokens).into_par_iter().step_by(TOKENS).map(partial).collect();
    for partial in partials {
        sums.iter_mut().zip(partial).for_each(|(sum, partial)| *sum += partial);
    }
}

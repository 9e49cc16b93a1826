//! Products of activations with a matrix that is laid out anew for each, as in training.

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    format::{Format, INT8_HAS_SCALES},
    lane::PANEL,
    panels::{Panels, columns_into, encoded_into, rows_into},
    product::{COLUMNS, multiply, of_columns},
    rows::Rows,
    vectorize::vectorize,
};

/// The right side of products, (inner, columns), in [`Format::F32`] or [`Format::Bf16`].
#[derive(Debug)]
pub struct Factor {
    format: Format,
    panels: Panels,
}

impl Factor {
    /// An empty matrix.
    ///
    /// # Panics
    /// Of int8.
    pub fn new(format: Format) -> Self {
        assert!(format != Format::Int8, "{INT8_HAS_SCALES}");
        Self { format, panels: Panels::new(format) }
    }

    /// Takes up the transpose of matrices of `inner` columns that stand below one another: their rows become the columns.
    pub fn pack_transposed(&mut self, matrices: &[&[f32]], inner: usize) {
        let rows: Vec<&[f32]> = matrices.iter().flat_map(|matrix| matrix.chunks_exact(inner)).collect();
        let format = self.format;
        self.panels.reset(inner, rows.len());
        self.panels.par_iter_mut().zip(rows.par_chunks(PANEL)).for_each(|(panel, rows)| {
            vectorize(
                #[inline(always)]
                || columns_into(panel, format, rows),
            );
        });
    }

    /// Takes up (inner, columns) matrices that stand below one another.
    pub fn pack(&mut self, matrices: &[&[f32]], columns: usize) {
        let rows: Vec<&[f32]> = matrices.iter().flat_map(|matrix| matrix.chunks_exact(columns)).collect();
        let format = self.format;
        self.panels.reset(rows.len(), columns);
        self.panels.par_iter_mut().enumerate().for_each(|(index, panel)| {
            let part = index * PANEL..columns.min((index + 1) * PANEL);
            vectorize(
                #[inline(always)]
                || rows_into(panel, format, rows.iter().map(|row| &row[part.clone()])),
            );
        });
    }

    /// Takes up activations, (tokens, columns), in the same format.
    pub fn pack_rows(&mut self, x: &Rows) {
        assert!(x.format() == self.format, "rows of this format");
        self.panels.reset(x.tokens(), x.width());
        self.panels.par_iter_mut().enumerate().for_each(|(index, panel)| {
            vectorize(
                #[inline(always)]
                || encoded_into(panel, index, x),
            );
        });
    }

    /// The product of some rows with this matrix, added to `out`, (rows, columns).
    pub fn multiply_add(&self, x: &Rows, rows: Range<usize>, out: &mut [f32]) {
        multiply(
            x,
            rows,
            &self.panels,
            out,
            #[inline(always)]
            |_, _, sums, out| {
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out += f32::from_bits(*sum);
                }
            },
        );
    }

    /// The product of all rows with this matrix, (tokens, columns).
    pub fn multiply(&self, x: &Rows, out: &mut Vec<f32>) {
        out.resize(x.tokens() * self.panels.columns(), 0.0);
        multiply(
            x,
            0..x.tokens(),
            &self.panels,
            out,
            #[inline(always)]
            |_, _, sums, out| {
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = f32::from_bits(*sum);
                }
            },
        );
    }

    /// The product of all rows with this matrix plus `bias`, (tokens, columns).
    pub fn multiply_bias(&self, x: &Rows, bias: &[f32], out: &mut Vec<f32>) {
        out.resize(x.tokens() * bias.len(), 0.0);
        let mut padded = bias.to_vec();
        padded.resize(bias.len().next_multiple_of(COLUMNS), 0.0);
        multiply(
            x,
            0..x.tokens(),
            &self.panels,
            out,
            #[inline(always)]
            |_, first, sums, out| {
                for (out, (sum, bias)) in out.iter_mut().zip(sums.iter().zip(of_columns(&padded, first))) {
                    *out = f32::from_bits(*sum) + bias;
                }
            },
        );
    }
}

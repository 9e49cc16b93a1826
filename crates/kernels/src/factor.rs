//! Products of activations with a matrix that was laid out in the order in which a product reads it.

use std::ops::Range;

use bytemuck::Zeroable;
use rayon::prelude::*;

use crate::{
    format::{Format, INT8_HAS_SCALES},
    lane::{PANEL, STRIP},
    panels::{Panels, fill},
    raw::{Block, Sums, for_each_block, multiply, vectorize},
    rows::Rows,
    vector::pair,
};

/// Rows of a block of the output: as many as keep a strip and the inputs of the block in a core's second cache.
const BLOCK_ROWS: usize = 96;

/// Columns of a strip.
const COLUMNS: usize = STRIP * PANEL;

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
        Self { format, panels: Panels::default() }
    }

    /// Takes up the transpose of matrices of `inner` columns that stand below one another: their rows become the columns.
    pub fn pack_transposed(&mut self, matrices: &[&[f32]], inner: usize) {
        let rows: Vec<&[f32]> = matrices.iter().flat_map(|matrix| matrix.chunks_exact(inner)).collect();
        let format = self.format;
        self.panels.reset(inner.div_ceil(format.per_group()), rows.len());
        self.panels.par_iter_mut().zip(rows.par_chunks(PANEL)).for_each(|(panel, rows)| {
            vectorize(
                #[inline(always)]
                || fill(panel, format, rows),
            );
        });
    }

    /// Takes up (inner, columns) matrices that stand below one another.
    pub fn pack(&mut self, matrices: &[&[f32]], columns: usize) {
        let rows: Vec<&[f32]> = matrices.iter().flat_map(|matrix| matrix.chunks_exact(columns)).collect();
        let format = self.format;
        self.panels.reset(rows.len().div_ceil(format.per_group()), columns);
        self.panels.par_iter_mut().enumerate().for_each(|(index, panel)| {
            let part = index * PANEL..columns.min((index + 1) * PANEL);
            vectorize(
                #[inline(always)]
                || {
                    for (lane, rows) in panel.iter_mut().zip(rows.chunks(format.per_group())) {
                        let first = &rows[0][part.clone()];
                        match (format, rows.get(1)) {
                            (Format::F32, _) => lane.0[..first.len()].copy_from_slice(bytemuck::cast_slice(first)),
                            (Format::Int8, _) => unreachable!("refused by `new`"),
                            (Format::Bf16, second) => {
                                // An odd last row is paired with nothing.
                                let second = second.map_or(&[0.0; PANEL][..first.len()], |row| &row[part.clone()]);
                                for (group, (a, b)) in lane.0.iter_mut().zip(first.iter().zip(second)) {
                                    *group = pair(*a, *b);
                                }
                            }
                        }
                    }
                },
            );
        });
    }

    /// Takes up activations, (tokens, columns), in the same format.
    pub fn pack_rows(&mut self, x: &Rows) {
        assert!(x.format == self.format, "rows of this format");
        let (format, groups, stride) = (self.format, x.groups, x.stride);
        self.panels.reset(x.tokens().div_ceil(format.per_group()), x.width());
        self.panels.par_iter_mut().enumerate().for_each(|(index, panel)| {
            vectorize(
                #[inline(always)]
                || {
                    let first = index * PANEL / format.per_group();
                    let part = first..groups.min(first + PANEL / format.per_group());
                    for (lane, rows) in panel.iter_mut().zip(x.data.chunks(stride * format.per_group())) {
                        let (a, b) = rows.split_at(stride);
                        match format {
                            Format::F32 => lane.0[..part.len()].copy_from_slice(&a[part.clone()]),
                            Format::Int8 => unreachable!("refused by `new`"),
                            Format::Bf16 => {
                                let b = if b.is_empty() { &[0; PANEL / 2][..part.len()] } else { &b[part.clone()] };
                                for (group, (a, b)) in lane.0.chunks_exact_mut(2).zip(a[part.clone()].iter().zip(b)) {
                                    group[0] = (a & 0xffff) | (b << 16);
                                    group[1] = (a >> 16) | (b & 0xffff_0000);
                                }
                            }
                        }
                    }
                },
            );
        });
    }

    /// The product of some rows with this matrix, added to `out`, (rows, columns).
    pub fn multiply_add(&self, x: &Rows, rows: Range<usize>, out: &mut [f32]) {
        product(
            x,
            rows,
            self.format,
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
        product(
            x,
            0..x.tokens(),
            self.format,
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
        product(
            x,
            0..x.tokens(),
            self.format,
            &self.panels,
            out,
            #[inline(always)]
            |_, columns, sums, out| {
                for (out, (sum, bias)) in out.iter_mut().zip(sums.iter().zip(&bias[columns])) {
                    *out = f32::from_bits(*sum) + bias;
                }
            },
        );
    }
}

/// The product of some rows with panels, (rows, columns) in `out`: `finish` gets a row, counted from the first of all
/// rows, a range of columns, their sums, and their place in `out`.
pub(crate) fn product(
    x: &Rows,
    rows: Range<usize>,
    format: Format,
    panels: &Panels,
    out: &mut [f32],
    finish: impl Fn(usize, Range<usize>, &[u32; COLUMNS], &mut [f32]) + Sync,
) {
    assert!(x.format == format && x.groups == panels.groups(), "rows made for this matrix");
    let columns = out.len() / rows.len().max(1);
    assert!(columns <= panels.columns() && rows.end <= x.tokens(), "an output of (rows, columns)");
    for_each_block(out, columns, BLOCK_ROWS, COLUMNS, |mut block: Block| {
        let (span, columns) = (block.rows(), block.columns());
        let index = columns.start / COLUMNS;
        let used = columns.len().div_ceil(PANEL);
        let a = &x.data[(rows.start + span.start) * x.stride..];
        let mut sums = [Sums::zeroed(); BLOCK_ROWS];
        let sums = &mut sums[..span.len()];
        multiply(format, a, x.stride, panels.strip(index), used, panels.after(index), sums);
        vectorize(
            #[inline(always)]
            || {
                for (row, sums) in span.zip(sums) {
                    finish(rows.start + row, columns.clone(), bytemuck::cast_ref(sums), block.row(row));
                }
            },
        );
    });
}

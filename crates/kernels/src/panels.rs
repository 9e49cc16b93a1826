//! The right side of a product, in the order in which the product reads it.

use bytemuck::Zeroable;
use rayon::prelude::*;

use crate::{
    convert::{encode, pair},
    format::{Format, INT8_HAS_SCALES},
    lane::{Lane, PANEL, STRIP, Strip},
    product::Product,
    rows::Rows,
    transpose::transpose,
};

/// A matrix of (groups, columns), cut into panels of [`PANEL`] columns, each of which is whole before the next begins.
/// What the last strip has beyond the columns is nobody's: its sums are never looked at.
#[derive(Clone, Debug)]
pub(crate) struct Panels {
    product: Product,
    groups: usize,
    columns: usize,
    lanes: Vec<Lane>, // (panels, groups)
}

impl Panels {
    pub(crate) fn new(format: Format) -> Self {
        Self { product: Product::new(format), groups: 0, columns: 0, lanes: Vec::new() }
    }

    /// Makes `self` a matrix of `inner` numbers by `columns`, to be written: its memory is zero only where it is new.
    pub(crate) fn reset(&mut self, inner: usize, columns: usize) {
        (self.groups, self.columns) = (self.product.groups(inner), columns);
        self.lanes.resize(columns.div_ceil(STRIP * PANEL) * self.strip_len(), Lane::zeroed());
    }

    fn strip_len(&self) -> usize {
        self.groups * STRIP
    }

    /// The panels in order, each of (groups), without those that only fill the last strip.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut [Lane]> {
        let count = self.columns.div_ceil(PANEL);
        self.lanes.chunks_exact_mut(self.groups.max(1)).take(count)
    }

    /// The same for several threads.
    pub(crate) fn par_iter_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [Lane]> {
        let count = self.columns.div_ceil(PANEL);
        self.lanes.par_chunks_exact_mut(self.groups.max(1)).take(count)
    }

    pub(crate) fn strip(&self, index: usize) -> Strip<'_> {
        Strip::new(&self.lanes[index * self.strip_len()..][..self.strip_len()], self.groups)
    }

    /// The lanes of the strip after `index`, or nothing.
    pub(crate) fn after(&self, index: usize) -> &[Lane] {
        self.lanes.get((index + 1) * self.strip_len()..(index + 2) * self.strip_len()).unwrap_or(&[])
    }

    pub(crate) fn product(&self) -> Product {
        self.product
    }

    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.lanes.as_slice())
    }
}

/// Rows become the columns of a panel: `gather` writes the groups of a row, from one on, to a lane that is zero.
#[inline(always)]
pub(crate) fn transpose_into(panel: &mut [Lane], rows: usize, gather: impl Fn(usize, usize, &mut Lane)) {
    for (index, lanes) in panel.chunks_mut(PANEL).enumerate() {
        let mut square = [Lane::zeroed(); PANEL];
        for (row, lane) in square.iter_mut().enumerate().take(rows) {
            gather(row, index * PANEL, lane);
        }
        transpose(&mut square);
        lanes.copy_from_slice(&square[..lanes.len()]);
    }
}

/// Rows of numbers, of which there may be fewer than [`PANEL`], become the columns of a panel, in f32 or bf16.
#[inline(always)]
pub(crate) fn columns_into(panel: &mut [Lane], format: Format, rows: &[&[f32]]) {
    transpose_into(
        panel,
        rows.len(),
        #[inline(always)]
        |row, group, lane| {
            let start = group * format.per_group();
            let end = rows[row].len().min(start + PANEL * format.per_group());
            encode(format, rows[row].get(start..end).unwrap_or(&[]), &mut lane.0);
        },
    );
}

/// Rows of numbers, of which a panel's columns are given, become the rows of a panel, in f32 or bf16.
#[inline(always)]
pub(crate) fn rows_into<'a>(panel: &mut [Lane], format: Format, mut rows: impl Iterator<Item = &'a [f32]>) {
    for lane in panel {
        match format {
            Format::F32 => encode(format, rows.next().unwrap_or(&[]), &mut lane.0),
            Format::Bf16 => {
                let first = rows.next().unwrap_or(&[]);
                // An odd last row is paired with nothing.
                let second = rows.next().unwrap_or(&[0.0; PANEL][..first.len()]);
                let (numbers, rest) = lane.0.split_at_mut(first.len());
                for (group, (a, b)) in numbers.iter_mut().zip(first.iter().zip(second)) {
                    *group = pair(*a, *b);
                }
                rest.fill(0);
            }
            Format::Int8 => panic!("{INT8_HAS_SCALES}"),
        }
    }
}

/// The same of rows that are in this format already.
#[inline(always)]
pub(crate) fn encoded_into(panel: &mut [Lane], index: usize, x: &Rows) {
    let format = x.format();
    let width = PANEL / format.per_group(); // groups of a row, as many numbers as a panel has columns
    let first = index * width;
    let part = first..x.groups().min(first + width);
    let mut rows = (0..x.tokens()).map(|token| &x.row(token)[part.clone()]);
    for lane in panel {
        match format {
            Format::F32 => {
                let row = rows.next().unwrap_or(&[]);
                let (numbers, rest) = lane.0.split_at_mut(row.len());
                numbers.copy_from_slice(row);
                rest.fill(0);
            }
            Format::Bf16 => {
                let first = rows.next().unwrap_or(&[]);
                let second = rows.next().unwrap_or(&[0; PANEL][..first.len()]);
                let (numbers, rest) = lane.0.split_at_mut(2 * first.len());
                for (group, (a, b)) in numbers.chunks_exact_mut(2).zip(first.iter().zip(second)) {
                    group[0] = (a & 0xffff) | (b << 16);
                    group[1] = (a >> 16) | (b & 0xffff_0000);
                }
                rest.fill(0);
            }
            Format::Int8 => panic!("{INT8_HAS_SCALES}"),
        }
    }
}

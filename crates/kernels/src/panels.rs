//! The right side of a product, in the order in which the product reads it.

use bytemuck::Zeroable;
use rayon::prelude::*;

use crate::{
    format::Format,
    lane::{Lane, PANEL, STRIP, Strip},
    raw::transpose,
    vector::to_bf16,
};

/// A matrix of (groups, columns), cut into panels of [`PANEL`] columns, each of which is whole before the next begins.
/// What the last strip has beyond the columns is nobody's: its sums are never looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panels {
    groups: usize,
    columns: usize,
    lanes: Vec<Lane>, // (panels, groups)
}

impl Panels {
    /// Makes `self` a matrix of (groups, columns), to be written: its memory is zero only where it is new.
    pub(crate) fn reset(&mut self, groups: usize, columns: usize) {
        (self.groups, self.columns) = (groups, columns);
        self.lanes.resize(columns.div_ceil(STRIP * PANEL) * self.strip_len(), Lane::zeroed());
    }

    /// f32 rows become the rows of a matrix of `width` columns.
    #[inline(always)]
    pub(crate) fn rows<'a>(&mut self, rows: impl ExactSizeIterator<Item = &'a [f32]> + Clone, width: usize) {
        self.reset(rows.len(), width);
        for (panel, start) in self.iter_mut().zip((0..width).step_by(PANEL)) {
            for (lane, row) in panel.iter_mut().zip(rows.clone()) {
                let part = &row[start..width.min(start + PANEL)];
                lane.0[..part.len()].copy_from_slice(bytemuck::cast_slice(part));
            }
        }
    }

    /// f32 rows of `height` numbers become the columns of a matrix.
    #[inline(always)]
    pub(crate) fn columns_from<'a>(&mut self, mut rows: impl ExactSizeIterator<Item = &'a [f32]>, height: usize) {
        self.reset(height, rows.len());
        for panel in self.iter_mut() {
            let mut columns: [&[f32]; PANEL] = [&[]; PANEL];
            columns.iter_mut().zip(rows.by_ref()).for_each(|(column, row)| *column = row);
            fill(panel, Format::F32, &columns);
        }
    }

    fn strip_len(&self) -> usize {
        self.groups * STRIP
    }

    /// The panels in order, each of (groups), without those that only fill the last strip.
    fn iter_mut(&mut self) -> impl Iterator<Item = &mut [Lane]> {
        let count = self.columns.div_ceil(PANEL);
        self.lanes.chunks_exact_mut(self.groups.max(1)).take(count)
    }

    /// The same for several threads.
    pub(crate) fn par_iter_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [Lane]> {
        let count = self.columns.div_ceil(PANEL);
        self.lanes.par_chunks_exact_mut(self.groups.max(1)).take(count)
    }

    pub(crate) fn panel_mut(&mut self, index: usize) -> &mut [Lane] {
        &mut self.lanes[index * self.groups..][..self.groups]
    }

    pub(crate) fn strip(&self, index: usize) -> Strip<'_> {
        Strip { lanes: &self.lanes[index * self.strip_len()..][..self.strip_len()], groups: self.groups }
    }

    /// The lanes of the strip after `index`, or nothing.
    pub(crate) fn after(&self, index: usize) -> &[Lane] {
        self.lanes.get((index + 1) * self.strip_len()..(index + 2) * self.strip_len()).unwrap_or(&[])
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

/// Rows of numbers, of which there may be fewer than [`PANEL`], become the columns of a panel, in f32 or bf16.
#[inline(always)]
pub(crate) fn fill(panel: &mut [Lane], format: Format, rows: &[&[f32]]) {
    for (index, lanes) in panel.chunks_mut(PANEL).enumerate() {
        let start = index * PANEL * format.per_group();
        let mut square = [Lane::zeroed(); PANEL];
        for (lane, row) in square.iter_mut().zip(rows) {
            gather(format, row.get(start..).unwrap_or(&[]), lane);
        }
        transpose(&mut square);
        lanes.copy_from_slice(&square[..lanes.len()]);
    }
}

/// The first numbers of a row as groups; what is missing stays.
#[inline(always)]
fn gather(format: Format, row: &[f32], lane: &mut Lane) {
    match format {
        Format::F32 => lane.0.iter_mut().zip(row).for_each(|(group, x)| *group = x.to_bits()),
        Format::Int8 => panic!("{}", crate::format::INT8_HAS_SCALES),
        Format::Bf16 => {
            let halves: &mut [u16; 2 * PANEL] = bytemuck::cast_mut(lane);
            halves.iter_mut().zip(row).for_each(|(half, x)| *half = to_bf16(*x));
        }
    }
}

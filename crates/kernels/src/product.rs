//! Products of rows with panels: how both are laid out for what computes them, and the one driver of all products.

pub(crate) mod amx;
mod avx2;
mod avx512;
mod portable;
#[cfg(test)]
mod tests;
mod tile;
mod widened;

use std::{cell::RefCell, ops::Range};

use bytemuck::Zeroable;

use self::widened::Wide;
pub(crate) use tile::{Sums, TILE_ROWS};

use crate::{
    blocks::{Block, Order, for_each_block},
    format::Format,
    lane::{BANK, LINE, Lane, PANEL, STRIP, Strip},
    panels::Panels,
    processor::{Processor, Unit},
    rows::Rows,
    vectorize::vectorize,
};

/// Rows of a block of the output: as many as keep a strip and the inputs of the block in a core's second cache.
const BLOCK_ROWS: usize = 96;

/// Columns of a strip.
pub(crate) const COLUMNS: usize = STRIP * PANEL;

/// A number format and what computes its products. The layout of rows and panels follows from both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) format: Format,
    unit: Unit,
}

impl Product {
    /// As this process computes products in a format.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, unit: Processor::current().unit(format) }
    }

    /// Whether there is an instruction that multiplies and sums in this format.
    pub(crate) fn has_instruction(self) -> bool {
        match self.format {
            Format::F32 => self.unit != Unit::Portable,
            Format::Bf16 => matches!(self.unit, Unit::Avx512Bf16 | Unit::Amx),
            Format::Int8 => matches!(self.unit, Unit::Avx512Vnni | Unit::Amx),
        }
    }

    /// Groups of a row or a panel that hold `numbers`: whole tiles, where there are tiles. What they have beyond the
    /// numbers is zero.
    pub(crate) fn groups(self, numbers: usize) -> usize {
        let groups = numbers.div_ceil(self.format.per_group());
        if self.unit == Unit::Amx { groups.next_multiple_of(amx::GROUPS) } else { groups }
    }

    /// Groups from a row of `groups` to the next.
    pub(crate) fn stride(self, groups: usize) -> usize {
        if self.unit == Unit::Amx {
            // A tile reads a cache line of each of 16 rows. An odd number of lines apart, no two of them fall into the
            // same set of the cache.
            return (groups.div_ceil(LINE) | 1) * LINE;
        }
        // A tile reads the same group of several rows at once. Eight bytes beyond a multiple of a cache line, no two of
        // them lie in the same bank of the cache, which would serve them one by one.
        (groups + LINE - BANK).next_multiple_of(LINE) + BANK
    }

    /// Largest magnitude of a weight in 8 bits. AVX2 and AVX-512 without VNNI sum two products in 16 bits, and
    /// 2 · 255 · 64 is what they hold.
    pub(crate) fn int8_weight_limit(self) -> i8 {
        if matches!(self.unit, Unit::Avx2 | Unit::Avx512) { 64 } else { 127 }
    }

    /// Whether rows and panels are in bf16 and products in f32.
    fn widens(self) -> bool {
        self.format == Format::Bf16 && matches!(self.unit, Unit::Avx2 | Unit::Avx512)
    }

    /// Sums of the products of rows of `a`, each `stride` groups after the one before, with the first `panels` panels of
    /// a strip, for as many rows as there are `sums`; what these held is lost. Meanwhile may fetch `ahead`, which is
    /// needed next, from memory.
    pub(crate) fn multiply(
        self,
        a: &[u32],
        stride: usize,
        strip: Strip,
        panels: usize,
        ahead: &[Lane],
        sums: &mut [Sums],
    ) {
        let Self { format, unit } = self;
        if self.widens() {
            let mut wide = Wide::default();
            wide.take(a, stride, strip.groups(), sums.len());
            return self.multiply_wide(&mut wide, strip, panels, ahead, sums);
        }
        match unit {
            Unit::Portable => portable::multiply(format, a, stride, strip, panels, sums),
            Unit::Amx => amx::with_tiles(|tiles| amx::multiply(tiles, format, a, stride, strip, panels, sums)),
            Unit::Avx2 => {
                sums.fill(Sums::zeroed());
                // SAFETY: the processor has these instructions.
                unsafe { avx2::add(format, a, stride, strip, panels, sums) }
            }
            Unit::Avx512 | Unit::Avx512Vnni | Unit::Avx512Bf16 => {
                sums.fill(Sums::zeroed());
                // SAFETY: as above.
                unsafe { avx512::add(unit, format, a, stride, strip, ahead, sums) }
            }
        }
    }

    /// The same of rows that are widened already.
    fn multiply_wide(self, wide: &mut Wide, strip: Strip, panels: usize, ahead: &[Lane], sums: &mut [Sums]) {
        match self.unit {
            Unit::Avx2 => wide.multiply(strip, panels, &[], sums, |a, stride, strip, _, sums| {
                // SAFETY: the processor has these instructions.
                unsafe { avx2::add(Format::F32, a, stride, strip, panels, sums) }
            }),
            unit => wide.multiply(strip, panels, ahead, sums, |a, stride, strip, ahead, sums| {
                // SAFETY: as above.
                unsafe { avx512::add(unit, Format::F32, a, stride, strip, ahead, sums) }
            }),
        }
    }
}

/// The product of some rows with panels, (rows, columns) in `out`: `finish` gets a row, counted from the first of all
/// rows, the first of [`COLUMNS`] columns, their sums, and their places in `out`, of which the last may be of no matrix.
pub(crate) fn multiply(
    x: &Rows,
    rows: Range<usize>,
    panels: &Panels,
    out: &mut [f32],
    finish: impl Fn(usize, usize, &[u32; COLUMNS], &mut [f32; COLUMNS]) + Sync,
) {
    assert!(x.product() == panels.product() && x.groups() == panels.groups(), "rows made for this matrix");
    let columns = out.len() / rows.len().max(1);
    assert!(columns <= panels.columns() && rows.end <= x.tokens(), "an output of (rows, columns)");
    let product = x.product();
    let body = |scratch: &mut Scratch, mut block: Block| {
        let (span, columns) = (block.rows(), block.columns());
        let index = columns.start / COLUMNS;
        let used = columns.len().div_ceil(PANEL);
        scratch.kept.sums.resize(BLOCK_ROWS, Sums::zeroed());
        let Kept { sums, wide } = &mut scratch.kept;
        let sums = &mut sums[..span.len()];
        let a = x.from(rows.start + span.start);
        if product.widens() {
            if scratch.widened != Some(span.start) {
                wide.take(a, x.stride(), x.groups(), span.len());
                scratch.widened = Some(span.start);
            }
            product.multiply_wide(wide, panels.strip(index), used, panels.after(index), sums);
        } else {
            product.multiply(a, x.stride(), panels.strip(index), used, panels.after(index), sums);
        }
        vectorize(
            #[inline(always)]
            || {
                for (row, sums) in span.zip(&*sums) {
                    let (out, sums) = (block.row(row), bytemuck::cast_ref(sums));
                    if let Ok(out) = <&mut [f32; COLUMNS]>::try_from(&mut *out) {
                        finish(rows.start + row, columns.start, sums, out);
                    } else {
                        let mut whole = [0.0; COLUMNS];
                        whole[..columns.len()].copy_from_slice(out);
                        finish(rows.start + row, columns.start, sums, &mut whole);
                        out.copy_from_slice(&whole[..columns.len()]);
                    }
                }
            },
        );
    };
    // Rows that were widened meet all strips in turn; else a strip that is in the cache meets all rows.
    let order = if product.widens() { Order::RowsFirst } else { Order::ColumnsFirst };
    for_each_block(out, columns, BLOCK_ROWS, COLUMNS, order, Scratch::take, body);
}

/// What one thread works with.
struct Scratch {
    kept: Kept,
    widened: Option<usize>, // the first row of `kept.wide`
}

/// Memory that a thread keeps from one product to the next: there are several in each layer.
#[derive(Default)]
struct Kept {
    sums: Vec<Sums>,
    wide: Wide,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

impl Scratch {
    fn take() -> Self {
        Self { kept: KEPT.take(), widened: None }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        KEPT.set(std::mem::take(&mut self.kept));
    }
}

/// The numbers of a strip's columns, of a vector that is padded to whole strips.
#[inline(always)]
pub(crate) fn of_columns(vector: &[f32], first: usize) -> &[f32; COLUMNS] {
    vector[first..first + COLUMNS].try_into().expect("whole strips")
}

//! Activations in the number format of the product that reads them.

use bytemuck::Zeroable;
use rayon::prelude::*;

use crate::{
    format::{Format, INT8_HAS_SCALES},
    lane::{BANK, LINE, Lane, PANEL},
    raw::{transpose, vectorize},
    vector::{is_finite, pair, range, to_bf16},
};

/// (tokens, width) in a product's number format. In [`Format::Int8`] a number is `scale · q + offset` with q of 0..=255
/// and a scale and an offset for each token.
#[derive(Clone, Debug)]
pub struct Rows {
    pub(crate) format: Format,
    width: usize,
    pub(crate) groups: usize,    // of 32 bits, per token
    pub(crate) stride: usize,    // groups from one token to the next
    pub(crate) data: Vec<u32>,   // (tokens, stride)
    pub(crate) scale: Vec<f32>,  // (tokens)
    pub(crate) offset: Vec<f32>, // (tokens)
}

impl Rows {
    /// No tokens yet, each of `width` numbers.
    pub fn new(format: Format, width: usize) -> Self {
        let mut this =
            Self { format, width: 0, groups: 0, stride: 0, data: Vec::new(), scale: Vec::new(), offset: Vec::new() };
        this.set_width(width);
        this
    }

    fn set_width(&mut self, width: usize) {
        self.width = width;
        self.groups = width.div_ceil(self.format.per_group());
        // A tile reads the same group of several rows at once. Eight bytes beyond a multiple of a cache line, no two of
        // them lie in the same bank of the cache, which would serve them one by one.
        self.stride = (self.groups + LINE - BANK).next_multiple_of(LINE) + BANK;
    }

    /// Takes up (tokens, width), after `transform` has changed each row, whose index it is told, in place.
    pub fn encode(&mut self, matrix: &mut [f32], transform: impl Fn(usize, &mut [f32]) + Sync) {
        let tokens = matrix.len() / self.width;
        self.data.resize(tokens * self.stride, 0);
        self.scale.resize(tokens, 0.0);
        self.offset.resize(tokens, 0.0);
        let (format, groups) = (self.format, self.groups);
        matrix
            .par_chunks_exact_mut(self.width)
            .zip(self.data.par_chunks_exact_mut(self.stride))
            .zip(self.scale.par_iter_mut().zip(&mut self.offset))
            .enumerate()
            .with_min_len(4)
            .for_each(|(index, ((row, data), (scale, offset)))| {
                vectorize(
                    #[inline(always)]
                    || {
                        transform(index, row);
                        let data = &mut data[..groups];
                        match format {
                            Format::F32 => data.copy_from_slice(bytemuck::cast_slice(row)),
                            Format::Bf16 => encode_bf16(row, bytemuck::cast_slice_mut(data)),
                            Format::Int8 => (*scale, *offset) = encode_int8(row, bytemuck::cast_slice_mut(data)),
                        }
                    },
                );
            });
    }

    /// Takes up the transpose of (tokens, width') as (width', tokens), in f32 or bf16: what [`Rows::new`] was told is of no
    /// matter.
    ///
    /// # Panics
    /// Of int8, whose scales belong to tokens.
    pub fn encode_transposed(&mut self, matrix: &[f32], columns: usize) {
        let (format, width) = (self.format, columns);
        let per_group = format.per_group();
        self.set_width(matrix.len() / columns.max(1));
        self.data.resize(columns * self.stride, 0);
        self.scale.resize(columns, 0.0);
        self.offset.resize(columns, 0.0);
        let (groups, stride) = (self.groups, self.stride);
        self.data.par_chunks_mut(stride * PANEL).enumerate().for_each(|(index, data)| {
            let columns = index * PANEL..columns.min((index + 1) * PANEL);
            vectorize(
                #[inline(always)]
                || {
                    for start in (0..groups).step_by(PANEL) {
                        let mut square = [Lane::zeroed(); PANEL];
                        let rows = matrix.chunks(width * per_group).skip(start);
                        for (lane, rows) in square.iter_mut().zip(rows) {
                            let (a, b) = rows.split_at(width);
                            let a = &a[columns.clone()];
                            match format {
                                Format::F32 => lane.0.iter_mut().zip(a).for_each(|(group, x)| *group = x.to_bits()),
                                Format::Int8 => panic!("{INT8_HAS_SCALES}"),
                                Format::Bf16 => {
                                    // An odd last row is paired with nothing.
                                    let b = if b.is_empty() { &[0.0; PANEL][..a.len()] } else { &b[columns.clone()] };
                                    lane.0
                                        .iter_mut()
                                        .zip(a.iter().zip(b))
                                        .for_each(|(group, (a, b))| *group = pair(*a, *b));
                                }
                            }
                        }
                        transpose(&mut square);
                        let part = start..groups.min(start + PANEL);
                        for (row, lane) in data.chunks_exact_mut(stride).zip(&square) {
                            row[part.clone()].copy_from_slice(&lane.0[..part.len()]);
                        }
                    }
                },
            );
        });
    }

    /// A token's numbers as f32; f32 and bf16.
    ///
    /// # Panics
    /// Of int8, which only [`Linear`](crate::Linear) reads.
    #[inline(always)]
    pub fn decode(&self, token: usize, row: &mut [f32]) {
        let data = &self.data[token * self.stride..][..self.groups];
        match self.format {
            Format::F32 => row.copy_from_slice(bytemuck::cast_slice(data)),
            Format::Int8 => panic!("{INT8_HAS_SCALES}"),
            Format::Bf16 => {
                let data: &[u16] = bytemuck::cast_slice(data);
                row.iter_mut().zip(data).for_each(|(x, bits)| *x = f32::from_bits(u32::from(*bits) << 16));
            }
        }
    }

    /// Multiplies a row with a function of a token's numbers; f32 and bf16.
    ///
    /// # Panics
    /// Of int8.
    #[inline(always)]
    pub fn scale_by(&self, token: usize, row: &mut [f32], function: impl Fn(f32) -> f32) {
        let data = &self.data[token * self.stride..][..self.groups];
        match self.format {
            Format::F32 => row.iter_mut().zip(data).for_each(|(x, bits)| *x *= function(f32::from_bits(*bits))),
            Format::Int8 => panic!("{INT8_HAS_SCALES}"),
            Format::Bf16 => {
                let data: &[u16] = bytemuck::cast_slice(data);
                row.iter_mut().zip(data).for_each(|(x, bits)| *x *= function(f32::from_bits(u32::from(*bits) << 16)));
            }
        }
    }

    /// Numbers per token.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.scale.len()
    }
}

#[inline(always)]
pub(crate) fn encode_bf16(row: &[f32], data: &mut [u16]) {
    for (x, data) in row.iter().zip(data) {
        *data = to_bf16(*x);
    }
}

/// Returns scale and offset.
#[inline(always)]
fn encode_int8(row: &[f32], data: &mut [u8]) -> (f32, f32) {
    const ROUND: f32 = 8_388_608.0; // 2²³: adding it rounds to an integer and leaves that in the low bits
    let (least, largest) = range(row);
    // A row of one value has no range; its offset is that value.
    let scale = if largest > least { (largest - least) / 255.0 } else { 1.0 };
    let factor = 1.0 / scale;
    for (x, data) in row.iter().zip(data) {
        *data = ((x - least) * factor + ROUND).to_bits() as u8;
    }
    // What is not finite has no place in 8 bits, and must not come out as a number.
    if is_finite(row) { (scale, least) } else { (f32::NAN, f32::NAN) }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::Factor;

    #[test]
    fn int8_is_refused_by_what_reads_no_scales_and_not_taken_for_bf16() {
        let mut rows = Rows::new(Format::Int8, 4);
        rows.encode(&mut [1.0, -2.0, 3.0, 0.5], |_, _| {});
        let mut row = [0.0; 4];
        let refused = |what: &str, work: &mut dyn FnMut()| {
            let panic = catch_unwind(AssertUnwindSafe(work)).expect_err(what);
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref().copied());
            assert!(text.is_some_and(|text| text.contains(INT8_HAS_SCALES)), "{what}: {text:?}");
        };
        refused("decode", &mut || rows.decode(0, &mut row));
        refused("scale_by", &mut || rows.scale_by(0, &mut row, |x| x));
        refused("a factor", &mut || drop(Factor::new(Format::Int8)));
        assert_eq!(row, [0.0; 4]);
        let mut factor = Factor::new(Format::Bf16);
        assert!(catch_unwind(AssertUnwindSafe(|| factor.pack_rows(&rows))).is_err(), "rows of another format");
    }
}

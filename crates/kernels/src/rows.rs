//! Activations in the number format of the product that reads them.

use bytemuck::Zeroable;
use rayon::prelude::*;

use crate::{
    convert::{decode, encode, from_bf16, pair, quantize},
    format::{Format, INT8_HAS_SCALES},
    lane::{LINE, Lane, PANEL},
    product::Product,
    transpose::transpose,
    vectorize::vectorize,
};

/// Rows that one thread encodes in a go.
const FEW: usize = 4;

/// (tokens, width) in a product's number format. In [`Format::Int8`] a number is `scale · q + offset` with q of 0..=255
/// and a scale and an offset for each token.
#[derive(Clone, Debug)]
pub struct Rows {
    product: Product,
    width: usize,
    tokens: usize,
    groups: usize,    // of 32 bits, per token
    stride: usize,    // groups from one token to the next
    data: Vec<Lane>,  // (tokens, stride), aligned as tiles read it
    scale: Vec<f32>,  // (tokens)
    offset: Vec<f32>, // (tokens)
}

impl Rows {
    /// No tokens yet, each of `width` numbers.
    pub fn new(format: Format, width: usize) -> Self {
        let product = Product::new(format);
        let mut this = Self {
            product,
            width: 0,
            tokens: 0,
            groups: 0,
            stride: 0,
            data: Vec::new(),
            scale: Vec::new(),
            offset: Vec::new(),
        };
        this.reset(0, width);
        this
    }

    /// Makes `self` (tokens, width), to be written.
    pub(crate) fn reset(&mut self, tokens: usize, width: usize) {
        (self.tokens, self.width) = (tokens, width);
        self.groups = self.product.groups(width);
        self.stride = self.product.stride(self.groups);
        self.data.resize((tokens * self.stride).div_ceil(LINE), Lane::zeroed());
        self.scale.resize(tokens, 0.0);
        self.offset.resize(tokens, 0.0);
    }

    #[inline(always)]
    fn data_mut(&mut self) -> &mut [u32] {
        &mut bytemuck::cast_slice_mut(&mut self.data)[..self.tokens * self.stride]
    }

    /// Takes up (tokens, width).
    pub fn encode(&mut self, matrix: &[f32]) {
        self.take_up(
            matrix.par_chunks_exact(self.width),
            #[inline(always)]
            |_, row| row,
        );
    }

    /// Takes up (tokens, width), after `transform` has changed each row, whose index it is told, in place.
    pub(crate) fn encode_with(&mut self, matrix: &mut [f32], transform: impl Fn(usize, &mut [f32]) + Sync) {
        self.take_up(
            matrix.par_chunks_exact_mut(self.width),
            #[inline(always)]
            |index, row| {
                transform(index, &mut *row);
                row
            },
        );
    }

    /// Takes up the first numbers of longer rows of `apart` numbers, after `transform` has changed each row in place.
    pub(crate) fn encode_parts(&mut self, matrix: &mut [f32], apart: usize, transform: impl Fn(&mut [f32]) + Sync) {
        let width = self.width;
        self.take_up(
            matrix.par_chunks_exact_mut(apart),
            #[inline(always)]
            |_, row| {
                transform(&mut *row);
                &row[..width]
            },
        );
    }

    /// Takes up rows of `scratch`, which `transform` makes of them and of those of another matrix, which it may change.
    pub(crate) fn encode_beside(
        &mut self,
        scratch: &mut [f32],
        other: &mut [f32],
        transform: impl Fn(&mut [f32], &mut [f32]) + Sync,
    ) {
        let rows = scratch.par_chunks_exact_mut(self.width).zip(other.par_chunks_exact_mut(self.width));
        self.take_up(
            rows,
            #[inline(always)]
            |_, (row, other)| {
                transform(&mut *row, other);
                row
            },
        );
    }

    /// Takes up what `finish` makes of each row.
    fn take_up<'a, R: Send>(
        &mut self,
        matrix: impl IndexedParallelIterator<Item = R>,
        finish: impl Fn(usize, R) -> &'a [f32] + Sync,
    ) {
        self.reset(matrix.len(), self.width);
        let stride = self.stride;
        let encoder = self.encoder();
        let data = bytemuck::cast_slice_mut::<_, u32>(&mut self.data).par_chunks_exact_mut(stride);
        let rows = matrix.zip(data).zip(self.scale.par_iter_mut().zip(&mut self.offset)).enumerate();
        rows.with_min_len(FEW).for_each(|(index, ((row, data), quantization))| {
            vectorize(
                #[inline(always)]
                || encoder.row(finish(index, row), data, quantization),
            );
        });
    }

    fn encoder(&self) -> Encoder {
        Encoder { format: self.format(), groups: self.groups }
    }

    /// Takes up one row, in f32 or bf16.
    #[inline(always)]
    pub(crate) fn encode_row(&mut self, index: usize, row: &[f32]) {
        let (format, groups, start) = (self.format(), self.groups, index * self.stride);
        encode(format, row, &mut self.data_mut()[start..][..groups]);
    }

    /// Takes up the transpose of (tokens, width') as (width', tokens), in f32 or bf16: what [`Rows::new`] was told is of no
    /// matter.
    ///
    /// # Panics
    /// Of int8, whose scales belong to tokens.
    pub fn encode_transposed(&mut self, matrix: &[f32], columns: usize) {
        self.reset(columns, matrix.len() / columns.max(1));
        let (format, groups, stride) = (self.format(), self.groups, self.stride);
        self.data_mut().par_chunks_mut(stride * PANEL).enumerate().for_each(|(index, data)| {
            let part = index * PANEL..columns.min((index + 1) * PANEL);
            vectorize(
                #[inline(always)]
                || transposed_into(data, stride, groups, format, matrix, columns, part),
            );
        });
    }

    /// The same on this thread, of rows of `columns` numbers, `apart` from one another.
    #[inline(always)]
    pub(crate) fn transpose_from(&mut self, matrix: &[f32], apart: usize, columns: usize) {
        self.reset(columns, matrix.len() / apart);
        let (format, groups, stride) = (self.format(), self.groups, self.stride);
        for (index, data) in self.data_mut().chunks_mut(stride * PANEL).enumerate() {
            let part = index * PANEL..columns.min((index + 1) * PANEL);
            transposed_into(data, stride, groups, format, matrix, apart, part);
        }
    }

    /// The rows as f32, (tokens, width); f32 and bf16.
    ///
    /// # Panics
    /// Of int8, which only [`Linear`](crate::Linear) reads.
    pub fn decode(&self, matrix: &mut Vec<f32>) {
        matrix.resize(self.tokens * self.width, 0.0);
        let format = self.format();
        matrix.par_chunks_exact_mut(self.width.max(1)).enumerate().with_min_len(FEW).for_each(|(token, row)| {
            vectorize(
                #[inline(always)]
                || decode(format, self.row(token), row),
            );
        });
    }

    /// Multiplies a row with a function of a token's numbers; f32 and bf16.
    ///
    /// # Panics
    /// Of int8.
    #[inline(always)]
    pub(crate) fn scale_by(&self, token: usize, row: &mut [f32], function: impl Fn(f32) -> f32) {
        let data = self.row(token);
        match self.format() {
            Format::F32 => row.iter_mut().zip(data).for_each(|(x, bits)| *x *= function(f32::from_bits(*bits))),
            Format::Int8 => panic!("{INT8_HAS_SCALES}"),
            Format::Bf16 => {
                let data: &[u16] = bytemuck::cast_slice(data);
                row.iter_mut().zip(data).for_each(|(x, bits)| *x *= function(from_bf16(*bits)));
            }
        }
    }

    /// Numbers per token.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    pub(crate) fn product(&self) -> Product {
        self.product
    }

    pub(crate) fn format(&self) -> Format {
        self.product.format
    }

    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// A token's groups.
    #[inline(always)]
    pub(crate) fn row(&self, token: usize) -> &[u32] {
        &bytemuck::cast_slice(&self.data)[token * self.stride..][..self.groups]
    }

    /// All groups from a token's on.
    #[inline(always)]
    pub(crate) fn from(&self, token: usize) -> &[u32] {
        &bytemuck::cast_slice(&self.data)[token * self.stride..]
    }

    /// A token's scale and offset, of int8.
    #[inline(always)]
    pub(crate) fn quantization(&self, token: usize) -> (f32, f32) {
        (self.scale[token], self.offset[token])
    }
}

/// How a row is taken up.
#[derive(Clone, Copy)]
struct Encoder {
    format: Format,
    groups: usize,
}

impl Encoder {
    #[inline(always)]
    fn row(self, row: &[f32], data: &mut [u32], (scale, offset): (&mut f32, &mut f32)) {
        let data = &mut data[..self.groups];
        match self.format {
            Format::Int8 => (*scale, *offset) = quantize(row, data),
            format => encode(format, row, data),
        }
    }
}

/// Some columns of a matrix, of rows `apart` from one another, as rows `stride` apart.
#[inline(always)]
fn transposed_into(
    data: &mut [u32],
    stride: usize,
    groups: usize,
    format: Format,
    matrix: &[f32],
    apart: usize,
    columns: std::ops::Range<usize>,
) {
    let mut rows = matrix.chunks(apart).map(
        #[inline(always)]
        |row| &row[columns.clone()],
    );
    for start in (0..groups).step_by(PANEL) {
        let mut square = [Lane::zeroed(); PANEL];
        for lane in &mut square {
            match format {
                Format::F32 => encode(format, rows.next().unwrap_or(&[]), &mut lane.0),
                Format::Int8 => panic!("{INT8_HAS_SCALES}"),
                Format::Bf16 => {
                    let a = rows.next().unwrap_or(&[]);
                    let b = rows.next().unwrap_or(&[0.0; PANEL][..a.len()]); // an odd last row is paired with nothing
                    lane.0.iter_mut().zip(a.iter().zip(b)).for_each(|(group, (a, b))| *group = pair(*a, *b));
                }
            }
        }
        transpose(&mut square);
        let part = start..groups.min(start + PANEL);
        for (row, lane) in data.chunks_mut(stride).zip(&square) {
            row[part.clone()].copy_from_slice(&lane.0[..part.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::Factor;

    #[test]
    fn int8_is_refused_by_what_reads_no_scales_and_not_taken_for_bf16() {
        let mut rows = Rows::new(Format::Int8, 4);
        rows.encode(&[1.0, -2.0, 3.0, 0.5]);
        let mut row = [0.0; 4];
        let refused = |what: &str, work: &mut dyn FnMut()| {
            let panic = catch_unwind(AssertUnwindSafe(work)).expect_err(what);
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref().copied());
            assert!(text.is_some_and(|text| text.contains(INT8_HAS_SCALES)), "{what}: {text:?}");
        };
        refused("decode", &mut || rows.decode(&mut Vec::new()));
        refused("scale_by", &mut || rows.scale_by(0, &mut row, |x| x));
        refused("a factor", &mut || drop(Factor::new(Format::Int8)));
        assert_eq!(row, [0.0; 4]);
        let mut factor = Factor::new(Format::Bf16);
        assert!(catch_unwind(AssertUnwindSafe(|| factor.pack_rows(&rows))).is_err(), "rows of another format");
    }
}

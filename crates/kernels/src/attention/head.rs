//! One head of one sentence, forward.

use std::{f32::consts::LOG2_E, ops::Range};

use bytemuck::Zeroable;

use super::{
    Attention,
    relative::{Relative, RelativeScratch},
};
use crate::{
    blocks::Block,
    dropout::Dropout,
    format::Format,
    lane::PANEL,
    panels::{Panels, columns_into, rows_into},
    product::{COLUMNS, Product, Sums, TILE_ROWS},
    rows::Rows,
    vector::{exp2_below, largest},
};

/// Queries that meet the keys together.
pub(super) const QUERIES: usize = 8 * TILE_ROWS;

/// Keys whose weights are computed together: they, their values and the scores fit into a core's second cache.
const KEYS: usize = 512;

/// The format of attention's products in an encoder that computes in `format`: bf16 only where it is an instruction's.
pub(super) fn product(format: Format) -> Format {
    match format {
        Format::Bf16 | Format::Int8 if Product::new(Format::Bf16).has_instruction() => Format::Bf16,
        _ => Format::F32,
    }
}

/// One head's columns of the queries, keys and values of a sentence.
pub(super) struct Head<'a> {
    qkv: &'a [f32],      // (tokens, stride)
    stride: usize,       // (heads + 2 · kv_heads) · head
    columns: [usize; 3], // of this head's query, key and value
    pub(super) head: usize,
    pub(super) index: usize, // of `heads`
    attention: &'a Attention<'a>,
    pub(super) sentence: Range<usize>,
}

pub(super) const QUERY: usize = 0;
pub(super) const KEY: usize = 1;
pub(super) const VALUE: usize = 2;

impl<'a> Head<'a> {
    pub(super) fn new(qkv: &'a [f32], attention: &'a Attention<'a>, index: usize, sentence: Range<usize>) -> Self {
        let Attention { heads, kv_heads, head, .. } = *attention;
        let shared = index * kv_heads / heads;
        let columns = [index, heads + shared, heads + kv_heads + shared].map(|place| place * head);
        Self { qkv, stride: attention.width(), columns, head, index, attention, sentence }
    }

    /// A token's query, key or value.
    #[inline(always)]
    pub(super) fn row(&self, token: usize, matrix: usize) -> &[f32] {
        &self.qkv[token * self.stride + self.columns[matrix]..][..self.head]
    }

    /// This head's part of a token's row of (tokens, heads · head).
    #[inline(always)]
    pub(super) fn context<'m>(&self, matrix: &'m [f32], token: usize) -> &'m [f32] {
        &matrix[(token * self.attention.heads + self.index) * self.head..][..self.head]
    }

    #[inline(always)]
    pub(super) fn scale(&self) -> f32 {
        let products = 1 + self.attention.relative.map_or(0, Relative::products);
        1.0 / ((self.head * products) as f32).sqrt()
    }

    /// The number of a token's mask: the same forward and backward.
    pub(super) fn mask(&self, token: usize) -> u32 {
        (token * self.attention.heads + self.index) as u32
    }

    /// The tokens that one of some queries sees.
    #[inline(always)]
    fn seen(&self, queries: Range<usize>) -> Range<usize> {
        let Attention { is_causal, window, .. } = *self.attention;
        let Range { start, end } = self.sentence;
        let reach = window.unwrap_or(self.sentence.len());
        let last = queries.end - 1; // there is one
        let end = if is_causal { queries.end } else { end.min(last + reach + 1) };
        queries.start.saturating_sub(reach).max(start)..end
    }
}

/// What one thread works with.
pub(super) struct Scratch {
    format: Format,
    keys: Panels,      // of (head, length)
    values: Panels,    // of (length, head)
    queries: Rows,     // (queries, head), scaled
    scores: Vec<f32>,  // (queries, keys)
    weights: Rows,     // (queries, keys): exponentials of scores
    context: Vec<f32>, // (queries, head)
    row: Vec<f32>,     // (head)
    relative: RelativeScratch,
}

impl Scratch {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            keys: Panels::new(format),
            values: Panels::new(format),
            queries: Rows::new(format, 0),
            scores: Vec::new(),
            weights: Rows::new(format, 0),
            context: Vec::new(),
            row: Vec::new(),
            relative: RelativeScratch::new(format),
        }
    }

    /// The context of all of a sentence's tokens.
    #[inline(always)]
    pub(super) fn forward(&mut self, part: &Head, dropout: Option<Dropout>, out: &mut Block) {
        let Range { start, end } = part.sentence;
        columns(&mut self.keys, self.format, part.head, part.sentence.clone().map(|token| part.row(token, KEY)));
        rows(&mut self.values, self.format, part.head, part.sentence.clone().map(|token| part.row(token, VALUE)));
        let relative = part.attention.relative;
        if let Some(relative) = relative {
            self.relative.meet_keys(relative, part);
        }
        for first in (start..end).step_by(QUERIES) {
            let queries = first..(first + QUERIES).min(end);
            self.take_queries(part, queries.clone());
            if let Some(relative) = relative {
                self.relative.meet_queries(relative, part, &self.queries);
            }
            self.context.clear();
            self.context.resize(queries.len() * part.head, 0.0);
            // Of each query: the largest score yet, and the sum of the weights relative to it.
            let (mut largest, mut sums) = ([f32::NEG_INFINITY; QUERIES], [0.0f32; QUERIES]);
            let seen = part.seen(queries.clone());
            let first = start + (seen.start - start) / COLUMNS * COLUMNS; // where a strip begins
            for first in (first..seen.end).step_by(KEYS) {
                let keys = first..(first + KEYS).min(seen.end);
                self.weigh(part, queries.clone(), keys.clone(), dropout, &mut largest, &mut sums);
                let context = &mut self.context;
                let groups = (keys.start - start) / self.format.per_group();
                left_times_right(
                    &self.weights,
                    &self.values,
                    groups..groups + self.weights.groups(),
                    #[inline(always)]
                    |row, columns, sums| {
                        let context = &mut context[row * part.head..][columns];
                        context.iter_mut().zip(sums).for_each(|(context, sum)| *context += sum);
                    },
                );
            }
            for (token, (context, sum)) in queries.zip(self.context.chunks_exact(part.head).zip(sums)) {
                let factor = 1.0 / sum;
                out.row(token).iter_mut().zip(context).for_each(|(out, x)| *out = x * factor);
            }
        }
    }

    /// Queries, scaled so that two to the power of a score is a weight.
    #[inline(always)]
    fn take_queries(&mut self, part: &Head, queries: Range<usize>) {
        let scale = part.scale() * LOG2_E;
        self.queries.reset(queries.len(), part.head);
        for (index, token) in queries.enumerate() {
            self.row.clear();
            self.row.extend(part.row(token, QUERY).iter().map(|x| x * scale));
            self.queries.encode_row(index, &self.row);
        }
    }

    /// The weights of some keys, not yet divided by their sum. Where a score is larger than those before, the context and
    /// the sum that they came to are scaled to it.
    #[inline(always)]
    fn weigh(
        &mut self,
        part: &Head,
        queries: Range<usize>,
        keys: Range<usize>,
        dropout: Option<Dropout>,
        largest_yet: &mut [f32; QUERIES],
        sums: &mut [f32; QUERIES],
    ) {
        let (count, offset) = (keys.len(), keys.start - part.sentence.start);
        let stride = count.next_multiple_of(PANEL); // whole vectors
        self.scores.resize(queries.len() * stride, 0.0);
        self.weights.reset(queries.len(), count);
        let scores = &mut self.scores;
        let strips = offset / COLUMNS;
        left_times_strips(
            &self.queries,
            &self.keys,
            strips..strips + count.div_ceil(COLUMNS),
            0..self.keys.groups(),
            offset + count,
            #[inline(always)]
            |row, columns, sums| {
                let columns = columns.start - offset..columns.end - offset;
                scores[row * stride..][columns].copy_from_slice(sums);
            },
        );
        let scale = part.scale() * LOG2_E;
        for (index, row) in scores.chunks_exact_mut(stride).enumerate() {
            let query = queries.start + index;
            if let Some(relative) = part.attention.relative {
                self.relative.add(relative, part, [index, query], keys.clone(), scale, &mut row[..count]);
            }
            let seen = part.seen(query..query + 1);
            row[..count.min(seen.start.saturating_sub(keys.start))].fill(f32::NEG_INFINITY); // no weight
            row[count.min(seen.end.saturating_sub(keys.start))..].fill(f32::NEG_INFINITY);
            let top = largest(row, largest_yet[index]);
            if top == f32::NEG_INFINITY {
                row.fill(0.0); // sees none of these, and none before
                self.weights.encode_row(index, &row[..count]);
                continue;
            }
            if top != largest_yet[index] && largest_yet[index] != f32::NEG_INFINITY {
                let factor = (largest_yet[index] - top).exp2();
                sums[index] *= factor;
                self.context[index * part.head..][..part.head].iter_mut().for_each(|x| *x *= factor);
            }
            largest_yet[index] = top;
            sums[index] += exp2_below(row, top);
            let row = &mut row[..count];
            if let Some(dropout) = dropout {
                dropout.row(part.mask(query)).apply_from(offset, row);
            }
            self.weights.encode_row(index, row);
        }
    }
}

/// Rows of `height` numbers become the columns of a matrix.
#[inline(always)]
pub(super) fn columns<'a>(
    panels: &mut Panels,
    format: Format,
    height: usize,
    mut rows: impl ExactSizeIterator<Item = &'a [f32]>,
) {
    panels.reset(height, rows.len());
    for panel in panels.iter_mut() {
        let mut columns: [&[f32]; PANEL] = [&[]; PANEL];
        let count = columns.iter_mut().zip(rows.by_ref()).map(|(column, row)| *column = row).count();
        columns_into(panel, format, &columns[..count]);
    }
}

/// Rows become the rows of a matrix of `width` columns.
#[inline(always)]
pub(super) fn rows<'a>(
    panels: &mut Panels,
    format: Format,
    width: usize,
    rows: impl ExactSizeIterator<Item = &'a [f32]> + Clone,
) {
    panels.reset(rows.len(), width);
    for (panel, start) in panels.iter_mut().zip((0..width).step_by(PANEL)) {
        rows_into(panel, format, rows.clone().map(|row| &row[start..width.min(start + PANEL)]));
    }
}

/// The product of rows with some groups of all columns of panels: `each` gets a row, a range of columns, and their sums.
#[inline(always)]
pub(super) fn left_times_right(
    left: &Rows,
    right: &Panels,
    groups: Range<usize>,
    each: impl FnMut(usize, Range<usize>, &[f32]),
) {
    left_times_strips(left, right, 0..right.columns().div_ceil(COLUMNS), groups, right.columns(), each);
}

/// The same with some strips, whose columns end at `end`.
#[inline(always)]
pub(super) fn left_times_strips(
    left: &Rows,
    right: &Panels,
    strips: Range<usize>,
    groups: Range<usize>,
    end: usize,
    mut each: impl FnMut(usize, Range<usize>, &[f32]),
) {
    assert!(left.product() == right.product() && left.groups() == groups.len(), "rows made for this matrix");
    let mut sums = [Sums::zeroed(); QUERIES];
    for first in (0..left.tokens()).step_by(QUERIES) {
        let sums = &mut sums[..QUERIES.min(left.tokens() - first)];
        for strip in strips.clone() {
            let columns = strip * COLUMNS..end.min((strip + 1) * COLUMNS);
            let part = right.strip(strip).part(groups.clone());
            left.product().multiply(left.from(first), left.stride(), part, columns.len().div_ceil(PANEL), &[], sums);
            for (row, sums) in sums.iter().enumerate() {
                let sums: &[f32; COLUMNS] = bytemuck::cast_ref(sums);
                each(first + row, columns.clone(), &sums[..columns.len()]);
            }
        }
    }
}

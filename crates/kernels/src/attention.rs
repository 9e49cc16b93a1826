//! Multi-head self-attention over the sentences of a packed batch.

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    dropout::Dropout,
    format::Format,
    lane::{PANEL, STRIP},
    panels::Panels,
    raw::{Sums, TILE_ROWS, multiply, vectorize},
    vector::{dot, softmax},
};

/// Tokens whose attention is computed at once.
const QUERIES: usize = 8 * TILE_ROWS;

/// Where the sentences of a packed batch begin and end.
#[derive(Clone, Debug)]
pub struct Sentences {
    cu_seqlens: Vec<usize>, // cumulated lengths, from 0
}

impl Sentences {
    /// Sentences of these lengths, one after the other.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut end = 0;
        let ends = lengths.into_iter().map(|length| {
            end += length;
            end
        });
        Self { cu_seqlens: std::iter::once(0).chain(ends).collect() }
    }

    /// The tokens of each sentence.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        self.cu_seqlens.windows(2).map(|ends| ends[0]..ends[1])
    }

    /// Tokens in all.
    pub fn tokens(&self) -> usize {
        self.cu_seqlens.last().copied().unwrap_or(0)
    }
}

/// softmax(Q Kᵀ / √head) V within each sentence, in f32: `qkv` is (tokens, 3 · hidden), queries first, and `context`
/// (tokens, hidden). `dropout` acts on the attention weights.
pub fn attention(qkv: &[f32], sentences: &Sentences, heads: usize, dropout: Option<Dropout>, context: &mut Vec<f32>) {
    let tokens = sentences.tokens();
    let hidden = qkv.len() / tokens.max(1) / 3;
    context.resize(tokens * hidden, 0.0);
    let mut items = Vec::new();
    let mut rest = context.as_mut_slice();
    for sentence in sentences.ranges() {
        let mut start = sentence.start;
        while start < sentence.end {
            let queries = start..(start + QUERIES).min(sentence.end);
            let (item, others) = rest.split_at_mut(queries.len() * hidden);
            (rest, start) = (others, queries.end);
            items.push((sentence.clone(), queries, item));
        }
    }
    items.into_par_iter().for_each_init(Scratch::default, |scratch, (sentence, queries, context)| {
        vectorize(
            #[inline(always)]
            || {
                let head = hidden / heads;
                for index in 0..heads {
                    let part = Head { qkv, hidden, first: index * head, head };
                    scratch.weights(&part, &sentence, &queries);
                    if let Some(dropout) = dropout {
                        let first = (queries.start * heads + index * queries.len()) as u32;
                        for (row, weights) in scratch.weights.chunks_exact_mut(padded(sentence.len())).enumerate() {
                            dropout.row(first + row as u32).apply(weights);
                        }
                    }
                    scratch.values.rows(sentence.clone().map(|row| part.row(row, 2)), head);
                    let weights = bytemuck::cast_slice(&scratch.weights);
                    let stride = padded(sentence.len());
                    product(weights, stride, &scratch.values, &mut context[part.first..], hidden, head);
                }
            },
        );
    });
}

/// Gradient of [`attention`] with respect to `qkv`, from that with respect to its output. What the forward pass made on
/// the way is made again.
pub fn attention_backward(
    qkv: &[f32],
    sentences: &Sentences,
    heads: usize,
    dropout: Option<Dropout>,
    grad_context: &[f32],
    grad_qkv: &mut Vec<f32>,
) {
    let tokens = sentences.tokens();
    let hidden = grad_context.len() / tokens.max(1);
    grad_qkv.resize(tokens * 3 * hidden, 0.0);
    let mut items = Vec::new();
    let mut rest = grad_qkv.as_mut_slice();
    for sentence in sentences.ranges() {
        let (item, others) = rest.split_at_mut(sentence.len() * 3 * hidden);
        rest = others;
        if !sentence.is_empty() {
            items.push((sentence, item));
        }
    }
    items.into_par_iter().for_each_init(Backward::default, |scratch, (sentence, grad)| {
        vectorize(
            #[inline(always)]
            || {
                let head = hidden / heads;
                grad.fill(0.0);
                for index in 0..heads {
                    let part = Head { qkv, hidden, first: index * head, head };
                    scratch.head(&part, &sentence, (heads, index), dropout, grad_context, grad);
                }
            },
        );
    });
}

/// Numbers in a row of attention weights: whole vectors.
fn padded(length: usize) -> usize {
    length.next_multiple_of(16)
}

/// One head's columns of the queries, keys and values.
struct Head<'a> {
    qkv: &'a [f32],
    hidden: usize,
    first: usize,
    head: usize,
}

impl Head<'_> {
    /// A token's query (0), key (1) or value (2).
    #[inline(always)]
    fn row(&self, token: usize, matrix: usize) -> &[f32] {
        &self.qkv[(3 * token + matrix) * self.hidden + self.first..][..self.head]
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head as f32).sqrt()
    }
}

#[derive(Default)]
struct Scratch {
    keys: Panels,      // of (head, length)
    values: Panels,    // of (length, head)
    weights: Vec<f32>, // (queries, padded length): attention weights
}

impl Scratch {
    /// Attention weights of some queries of a sentence, (queries, length), before dropout.
    #[inline(always)]
    fn weights(&mut self, part: &Head, sentence: &Range<usize>, queries: &Range<usize>) {
        let (length, stride) = (sentence.len(), padded(sentence.len()));
        self.keys.columns_from(sentence.clone().map(|row| part.row(row, 1)), part.head);
        self.weights.resize(queries.len() * stride, 0.0);
        let query = &bytemuck::cast_slice(part.qkv)[3 * queries.start * part.hidden + part.first..];
        product(query, 3 * part.hidden, &self.keys, &mut self.weights, stride, length);
        for row in self.weights.chunks_exact_mut(stride) {
            row[length..].fill(f32::NEG_INFINITY); // no weight
            softmax(row, part.scale());
        }
    }
}

#[derive(Default)]
struct Backward {
    forward: Scratch,
    right: Panels,
    dropped: Vec<f32>,      // (length, padded length): the weights after dropout
    grad_weights: Vec<f32>, // (length, padded length)
    transposed: Vec<f32>,   // (length, length)
}

impl Backward {
    #[inline(always)]
    fn head(
        &mut self,
        part: &Head,
        sentence: &Range<usize>,
        (heads, index): (usize, usize),
        dropout: Option<Dropout>,
        grad_context: &[f32],
        grad: &mut [f32],
    ) {
        let (length, hidden, head, width) = (sentence.len(), part.hidden, part.head, 3 * part.hidden);
        let stride = padded(length);
        self.forward.weights(part, sentence, sentence);
        let weights = &mut self.forward.weights;
        let row_of_context = |row: usize| &grad_context[row * hidden + part.first..][..head];
        // Of the weights before dropout: dC Vᵀ, masked as they were.
        self.right.columns_from(sentence.clone().map(|row| part.row(row, 2)), head);
        self.grad_weights.clear();
        self.grad_weights.resize(length * stride, 0.0);
        let context = &bytemuck::cast_slice(grad_context)[sentence.start * hidden + part.first..];
        product(context, hidden, &self.right, &mut self.grad_weights, stride, length);
        // The rows are those of the forward pass, which goes through a sentence by blocks of queries.
        let mask = |row: usize| {
            let block = row / QUERIES * QUERIES;
            let first = (sentence.start + block) * heads + index * QUERIES.min(length - block);
            dropout.map(|dropout| dropout.row((first + row - block) as u32))
        };
        self.dropped.clone_from(weights);
        let rows = self.dropped.chunks_exact_mut(stride).zip(self.grad_weights.chunks_exact_mut(stride));
        for (row, (dropped, grad)) in rows.enumerate() {
            if let Some(mask) = mask(row) {
                mask.apply(dropped);
                mask.apply(grad);
            }
        }
        // Of the values: Pᵀ dC, with the weights as dropout left them.
        transposed(&self.dropped, length, stride, &mut self.transposed);
        self.right.rows(sentence.clone().map(row_of_context), head);
        let left = bytemuck::cast_slice(&self.transposed);
        product(left, length, &self.right, &mut grad[2 * hidden + part.first..], width, head);
        // Of the scores: P ∘ (dP − rowsum(dP ∘ P)), times the scale.
        let scale = part.scale();
        for (weights, grad) in weights.chunks_exact(stride).zip(self.grad_weights.chunks_exact_mut(stride)) {
            let mean = dot(weights, grad);
            grad.iter_mut().zip(weights).for_each(|(grad, weight)| *grad = (*grad - mean) * weight * scale);
        }
        // Of the queries: dS K; of the keys: dSᵀ Q.
        self.right.rows(sentence.clone().map(|row| part.row(row, 1)), head);
        let scores = bytemuck::cast_slice(&self.grad_weights);
        product(scores, stride, &self.right, &mut grad[part.first..], width, head);
        transposed(&self.grad_weights, length, stride, &mut self.transposed);
        self.right.rows(sentence.clone().map(|row| part.row(row, 0)), head);
        let left = bytemuck::cast_slice(&self.transposed);
        product(left, length, &self.right, &mut grad[hidden + part.first..], width, head);
    }
}

/// The transpose of rows of `length` numbers, `stride` apart, of which there are as many.
#[inline(always)]
fn transposed(matrix: &[f32], length: usize, stride: usize, out: &mut Vec<f32>) {
    out.resize(length * length, 0.0);
    for (column, row) in matrix.chunks_exact(stride).enumerate() {
        for (out, x) in out.chunks_exact_mut(length).zip(row) {
            out[column] = *x;
        }
    }
}

/// The product of rows, `stride` apart, with the first `columns` of the panels, into rows that are `out_stride` apart.
#[inline(always)]
fn product(a: &[u32], stride: usize, b: &Panels, out: &mut [f32], out_stride: usize, columns: usize) {
    const COLUMNS: usize = STRIP * PANEL;
    for (block, out) in out.chunks_mut(out_stride * QUERIES).enumerate() {
        let rows = out.len().div_ceil(out_stride);
        let a = &a[block * QUERIES * stride..];
        for (index, start) in (0..columns).step_by(COLUMNS).enumerate() {
            let count = (columns - start).min(COLUMNS);
            let mut sums: [Sums; QUERIES] = bytemuck::Zeroable::zeroed();
            let sums = &mut sums[..rows];
            multiply(Format::F32, a, stride, b.strip(index), count.div_ceil(PANEL), &[], sums);
            for (out, sums) in out.chunks_mut(out_stride).zip(&*sums) {
                let sums: &[u32; COLUMNS] = bytemuck::cast_ref(sums);
                out[start..start + count].copy_from_slice(bytemuck::cast_slice(&sums[..count]));
            }
        }
    }
}

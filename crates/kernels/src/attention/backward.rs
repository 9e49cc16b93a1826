//! The gradient of attention.

use std::{f32::consts::LOG2_E, ops::Range};

use super::{
    Attention, Sentences,
    head::{Head, KEY, QUERIES, QUERY, VALUE, columns, left_times_right, product, rows},
};
use crate::{
    blocks::{Block, Order, for_each_of_bands},
    dropout::Dropout,
    format::Format,
    lane::PANEL,
    panels::Panels,
    rows::Rows,
    vector::{dot, exp2_below, largest},
    vectorize::vectorize,
};

/// Gradient of [plain](super::Attention::plain) [`attention`](super::attention) with respect to `qkv`, from that with respect to its output. What the
/// forward pass made on the way is made again.
pub fn attention_backward(
    format: Format,
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
    let head = hidden / heads;
    let attention = Attention::plain(heads, head);
    let format = product(format);
    // As rows of `hidden` numbers: a token's query, key and value follow one another.
    let bands: Vec<_> = sentences.ranges().map(|tokens| 3 * tokens.start..3 * tokens.end).collect();
    for_each_of_bands(
        grad_qkv,
        hidden,
        &bands,
        head,
        Order::RowsFirst,
        || Scratch::new(format),
        |scratch, mut block| {
            let sentence = block.rows().start / 3..block.rows().end / 3;
            let part = Head::new(qkv, &attention, block.columns().start / head, sentence);
            vectorize(
                #[inline(always)]
                || scratch.backward(&part, dropout, grad_context, &mut block),
            );
        },
    );
}

/// What one thread works with.
struct Scratch {
    format: Format,
    keys_below: Panels,     // (head, length): keys are columns
    values_below: Panels,   // (head, length)
    keys: Panels,           // (length, head)
    right: Panels,          // (queries, head)
    left: Rows,             // (queries, head) or (queries, length)
    transposed: Rows,       // (length, queries)
    weights: Vec<f32>,      // (queries, length)
    dropped: Vec<f32>,      // likewise, after dropout
    grad_weights: Vec<f32>, // likewise, and then of the scores
    grad_keys: Vec<f32>,    // (length, head)
    grad_values: Vec<f32>,  // (length, head)
}

impl Scratch {
    fn new(format: Format) -> Self {
        Self {
            format,
            keys_below: Panels::new(format),
            values_below: Panels::new(format),
            keys: Panels::new(format),
            right: Panels::new(format),
            left: Rows::new(format, 0),
            transposed: Rows::new(format, 0),
            weights: Vec::new(),
            dropped: Vec::new(),
            grad_weights: Vec::new(),
            grad_keys: Vec::new(),
            grad_values: Vec::new(),
        }
    }

    #[inline(always)]
    fn backward(&mut self, part: &Head, dropout: Option<Dropout>, grad_context: &[f32], grad: &mut Block) {
        let (format, head, length) = (self.format, part.head, part.sentence.len());
        let tokens = |matrix| part.sentence.clone().map(move |token| part.row(token, matrix));
        columns(&mut self.keys_below, format, head, tokens(KEY));
        columns(&mut self.values_below, format, head, tokens(VALUE));
        rows(&mut self.keys, format, head, tokens(KEY));
        for sums in [&mut self.grad_keys, &mut self.grad_values] {
            sums.clear();
            sums.resize(length * head, 0.0);
        }
        for first in part.sentence.clone().step_by(QUERIES) {
            let queries = first..part.sentence.end.min(first + QUERIES);
            self.queries(part, queries, dropout, grad_context, grad);
        }
        for (index, token) in part.sentence.clone().enumerate() {
            grad.row(3 * token + KEY).copy_from_slice(&self.grad_keys[index * head..][..head]);
            grad.row(3 * token + VALUE).copy_from_slice(&self.grad_values[index * head..][..head]);
        }
    }

    /// The gradient of some queries, and what they add to those of all keys and values.
    #[inline(always)]
    fn queries(
        &mut self,
        part: &Head,
        queries: Range<usize>,
        dropout: Option<Dropout>,
        grad_context: &[f32],
        grad: &mut Block,
    ) {
        let (head, length) = (part.head, part.sentence.len());
        let stride = length.next_multiple_of(PANEL); // whole vectors
        let row_of_context = |token: usize| part.context(grad_context, token);
        // The weights, softmax(Q Kᵀ · scale).
        take(&mut self.left, head, queries.clone().map(|token| part.row(token, QUERY)));
        let scale = part.scale() * LOG2_E;
        scores(&self.left, &self.keys_below, stride, &mut self.weights);
        for row in self.weights.chunks_exact_mut(stride) {
            row[..length].iter_mut().for_each(|x| *x *= scale);
            row[length..].fill(f32::NEG_INFINITY); // no weight
            let factor = 1.0 / exp2_below(row, largest(row, f32::NEG_INFINITY));
            row[..length].iter_mut().for_each(|x| *x *= factor);
            row[length..].fill(0.0);
        }
        // Of the weights before dropout: dC Vᵀ, masked as they were.
        take(&mut self.left, head, queries.clone().map(row_of_context));
        scores(&self.left, &self.values_below, stride, &mut self.grad_weights);
        self.dropped.clone_from(&self.weights);
        if let Some(dropout) = dropout {
            let rows = self.dropped.chunks_exact_mut(stride).zip(self.grad_weights.chunks_exact_mut(stride));
            for (token, (dropped, grad)) in queries.clone().zip(rows) {
                let mask = dropout.row(part.mask(token));
                mask.apply_from(0, dropped);
                mask.apply_from(0, grad);
            }
        }
        // Of the values: Pᵀ dC, with the weights as dropout left them.
        rows(&mut self.right, self.format, head, queries.clone().map(row_of_context));
        self.transposed.transpose_from(&self.dropped, stride, length);
        add(&self.transposed, &self.right, head, &mut self.grad_values);
        // Of the scores: P ∘ (dP − rowsum(dP ∘ P)), times the scale.
        let scale = part.scale();
        for (weights, grad) in self.weights.chunks_exact(stride).zip(self.grad_weights.chunks_exact_mut(stride)) {
            grad[length..].fill(0.0);
            let mean = dot(weights, grad);
            grad.iter_mut().zip(weights).for_each(|(grad, weight)| *grad = (*grad - mean) * weight * scale);
        }
        // Of the queries: dS K; of the keys: dSᵀ Q.
        take(&mut self.left, length, self.grad_weights.chunks_exact(stride).map(|row| &row[..length]));
        left_times_right(
            &self.left,
            &self.keys,
            0..self.keys.groups(),
            #[inline(always)]
            |row, columns, sums| grad.row(3 * (queries.start + row) + QUERY)[columns].copy_from_slice(sums),
        );
        self.transposed.transpose_from(&self.grad_weights, stride, length);
        rows(&mut self.right, self.format, head, queries.clone().map(|token| part.row(token, QUERY)));
        add(&self.transposed, &self.right, head, &mut self.grad_keys);
    }
}

/// Rows of `width` numbers.
#[inline(always)]
fn take<'a>(left: &mut Rows, width: usize, rows: impl ExactSizeIterator<Item = &'a [f32]>) {
    left.reset(rows.len(), width);
    for (index, row) in rows.enumerate() {
        left.encode_row(index, row);
    }
}

/// The product of rows with all columns, in rows that are `stride` apart.
#[inline(always)]
fn scores(left: &Rows, right: &Panels, stride: usize, out: &mut Vec<f32>) {
    out.resize(left.tokens() * stride, 0.0);
    left_times_right(
        left,
        right,
        0..right.groups(),
        #[inline(always)]
        |row, columns, sums| out[row * stride..][columns].copy_from_slice(sums),
    );
}

/// The product of rows with all of the `width` columns, added.
#[inline(always)]
fn add(left: &Rows, right: &Panels, width: usize, out: &mut [f32]) {
    left_times_right(
        left,
        right,
        0..right.groups(),
        #[inline(always)]
        |row, columns, sums| out[row * width..][columns].iter_mut().zip(sums).for_each(|(out, sum)| *out += sum),
    );
}

//! Multi-head self-attention over the sentences of a packed batch.
//!
//! A head of a sentence is the unit of work. Its keys and values are laid out once; its queries meet them some at a time,
//! and a long sentence's keys in parts whose weights are summed as they come, so that memory grows with a sentence's
//! length and not with its square. Source: Dao et al., FlashAttention (2022), algorithm 1.

mod backward;
mod head;
mod sentences;

pub use backward::attention_backward;
pub use sentences::Sentences;

use self::head::{Head, Scratch, product};
use crate::{
    blocks::{Order, for_each_of_bands},
    dropout::Dropout,
    format::Format,
    vectorize::vectorize,
};

/// softmax(Q Kᵀ / √head) V within each sentence: `qkv` is (tokens, 3 · hidden), queries first, and `context` (tokens,
/// hidden). `dropout` acts on the attention weights.
///
/// Where the encoder computes in bf16 or int8 and the processor has products in bf16, queries, keys, values and weights
/// are rounded to it; the softmax is in f32.
pub fn attention(
    format: Format,
    qkv: &[f32],
    sentences: &Sentences,
    heads: usize,
    dropout: Option<Dropout>,
    context: &mut Vec<f32>,
) {
    let tokens = sentences.tokens();
    let hidden = qkv.len() / tokens.max(1) / 3;
    context.resize(tokens * hidden, 0.0);
    let head = hidden / heads;
    let bands: Vec<_> = sentences.ranges().collect();
    let format = product(format);
    for_each_of_bands(
        context,
        hidden,
        &bands,
        head,
        Order::RowsFirst,
        || Scratch::new(format),
        |scratch, mut block| {
            let part = Head::new(qkv, hidden, heads, block.columns().start, block.rows());
            vectorize(
                #[inline(always)]
                || scratch.forward(&part, dropout, &mut block),
            );
        },
    );
}

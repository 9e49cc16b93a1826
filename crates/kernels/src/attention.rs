//! Multi-head self-attention over the sentences of a packed batch.
//!
//! A head of a sentence is the unit of work. Its keys and values are laid out once; its queries meet them some at a time,
//! and a long sentence's keys in parts whose weights are summed as they come, so that memory grows with a sentence's
//! length and not with its square. Source: Dao et al., FlashAttention (2022), algorithm 1.

mod backward;
mod head;
mod relative;
mod rotary;
mod sentences;
#[cfg(test)]
mod tests;

pub use backward::attention_backward;
pub use relative::Relative;
pub use rotary::{Rotary, prepare_heads};
pub use sentences::Sentences;

use self::head::{Head, Scratch, product};
use crate::{
    blocks::{Order, for_each_of_bands},
    dropout::Dropout,
    format::Format,
    vectorize::vectorize,
};

/// How a layer attends.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values, each for as many neighbouring heads of queries.
    pub kv_heads: usize,
    /// Numbers of a head.
    pub head: usize,
    /// Whether a token sees none behind it.
    pub is_causal: bool,
    /// How many tokens it sees to either side; all without one.
    pub window: Option<usize>,
    /// Products with relative positions that are added to the scores.
    pub relative: Option<&'a Relative>,
}

impl Attention<'_> {
    /// Where every token of a sentence sees every other, with keys and values of its own for each head.
    pub fn plain(heads: usize, head: usize) -> Self {
        Self { heads, kv_heads: heads, head, is_causal: false, window: None, relative: None }
    }

    /// Numbers of a token's queries, keys and values.
    pub fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head
    }
}

/// softmax(Q Kᵀ / √head) V within each sentence: `qkv` is (tokens, [width](Attention::width)), queries first, and `context`
/// (tokens, heads · head). `dropout` acts on the attention weights.
///
/// Where the encoder computes in bf16 or int8 and the processor has products in bf16, queries, keys, values and weights
/// are rounded to it; the softmax is in f32.
pub fn attention(
    format: Format,
    qkv: &[f32],
    sentences: &Sentences,
    attention: &Attention,
    dropout: Option<Dropout>,
    context: &mut Vec<f32>,
) {
    let width = attention.heads * attention.head;
    assert_eq!(qkv.len(), sentences.tokens() * attention.width(), "(tokens, queries, keys and values)");
    context.resize(sentences.tokens() * width, 0.0);
    let bands: Vec<_> = sentences.ranges().collect();
    let format = product(format);
    for_each_of_bands(
        context,
        width,
        &bands,
        attention.head,
        Order::RowsFirst,
        || Scratch::new(format),
        |scratch, mut block| {
            let part = Head::new(qkv, attention, block.columns().start / attention.head, block.rows());
            vectorize(
                #[inline(always)]
                || scratch.forward(&part, dropout, &mut block),
            );
        },
    );
}

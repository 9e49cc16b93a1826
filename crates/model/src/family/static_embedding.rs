//! A table of embeddings alone, whose rows are averaged: sentence-transformers' `StaticEmbedding`, and model2vec's models.
//! It has no `config.json`: the table says what there is to say.

use crate::architecture::{Architecture, Embeddings, NormOrder, Positions, Table};

/// Tokens of the longest text. Its embedding needs no bound, and the memory for its tokens does.
const LONGEST: i64 = 1 << 16;

/// The class that computes so in sentence-transformers.
pub(crate) const CLASS: &str = "StaticEmbedding";

/// A table of so many rows and numbers in each.
pub(crate) fn architecture(rows: i64, width: i64) -> Architecture {
    Architecture {
        class: CLASS,
        prefix: "",
        hidden: width,
        longest: LONGEST,
        embeddings: Embeddings {
            words: Table { path: "embedding".to_owned(), rows, width },
            positions: None,
            position_ids: Positions::FromZero,
            token_types: None,
            norm: None,
            dropout: 0.0,
            projection: None,
            padding: None,
        },
        relative: None,
        layers: Vec::new(),
        norm_order: NormOrder::After,
        convolution: None,
        final_norm: None,
        initializer_range: 1.0,
        masked_head: None,
        classifier: None,
    }
}

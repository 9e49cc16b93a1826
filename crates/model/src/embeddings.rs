//! The sum of token, position and token type embeddings.

use tch::{TchError, Tensor, nn};

use crate::{config::EncoderConfig, linear::LayerNorm, packed::PackedBatch};

/// First block of the encoder. Source: transformers, `RobertaEmbeddings`.
#[derive(Debug)]
pub(crate) struct Embeddings {
    word_embeddings: Tensor,       // (vocab, hidden)
    position_embeddings: Tensor,   // (positions, hidden)
    token_type_embeddings: Tensor, // (types, hidden)
    layer_norm: LayerNorm,
    dropout: f64,
    padding_idx: i64,
}

impl Embeddings {
    pub(crate) fn new(path: nn::Path, config: &EncoderConfig) -> Result<Self, TchError> {
        let hidden = config.hidden_size;
        let table = |name: &str, rows: i64| (&path / name).f_zeros("weight", &[rows, hidden]);
        Ok(Self {
            word_embeddings: table("word_embeddings", config.vocab_size)?,
            position_embeddings: table("position_embeddings", config.max_position_embeddings)?,
            token_type_embeddings: table("token_type_embeddings", config.type_vocab_size)?,
            layer_norm: LayerNorm::new(&path / "LayerNorm", hidden, config.layer_norm_eps)?,
            dropout: config.hidden_dropout_prob,
            padding_idx: config.pad_token_id(),
        })
    }

    /// A packed batch to (tokens, hidden).
    pub(crate) fn forward(&self, batch: &PackedBatch, train: bool) -> Tensor {
        let words = Tensor::embedding(&self.word_embeddings, &batch.input_ids, self.padding_idx, false, false);
        let positions = Tensor::embedding(&self.position_embeddings, &batch.position_ids, -1, false, false);
        let token_type = self.token_type_embeddings.get(0); // (hidden): a single sentence is all type 0
        self.layer_norm.forward(&(words + token_type + positions)).dropout(self.dropout, train)
    }
}

//! Multi-head self-attention over the sentences of a packed batch.

use tch::{TchError, Tensor, nn};

use crate::{
    config::EncoderConfig,
    linear::{LayerNorm, Linear},
    operators::packed_attention,
    packed::{PackedBatch, Run, Starts},
};

/// Self-attention with its output product, residual and layer norm. Source: transformers, `RobertaAttention`.
#[derive(Debug)]
pub(crate) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    layer_norm: LayerNorm,
    heads: i64,
    attention_dropout: f64,
    hidden_dropout: f64,
}

impl Attention {
    pub(crate) fn new(path: nn::Path, config: &EncoderConfig) -> Result<Self, TchError> {
        let hidden = config.hidden_size;
        let (this, output) = (&path / "self", &path / "output");
        Ok(Self {
            query: Linear::new(&this / "query", hidden, hidden)?,
            key: Linear::new(&this / "key", hidden, hidden)?,
            value: Linear::new(&this / "value", hidden, hidden)?,
            output: Linear::new(&output / "dense", hidden, hidden)?,
            layer_norm: LayerNorm::new(&output / "LayerNorm", hidden, config.layer_norm_eps)?,
            heads: config.num_attention_heads,
            attention_dropout: config.attention_probs_dropout_prob,
            hidden_dropout: config.hidden_dropout_prob,
        })
    }

    /// (tokens, hidden) to (tokens, hidden); a token attends to the tokens of its own sentence.
    pub(crate) fn forward(&self, hidden: &Tensor, batch: &PackedBatch, train: bool) -> Tensor {
        let (query, key, value) = (self.query.forward(hidden), self.key.forward(hidden), self.value.forward(hidden));
        let attend = |run: &Run| self.attend(&run.view(&query), &run.view(&key), &run.view(&value), train);
        let context = match batch.starts() {
            Some(starts) => self.attend_packed([&query, &key, &value], starts, train),
            None => Tensor::cat(&batch.runs.iter().map(attend).collect::<Vec<_>>(), 0),
        }; // (tokens, hidden)
        let output = self.output.forward(&context).dropout(self.hidden_dropout, train);
        self.layer_norm.forward(&(output + hidden))
    }

    /// Attention within sentences of equal length, (sentences, length, hidden) each, to (sentences · length, hidden).
    fn attend(&self, query: &Tensor, key: &Tensor, value: &Tensor, train: bool) -> Tensor {
        let (sentences, length, hidden) = query.size3().expect("a run's view has three dimensions");
        let head = hidden / self.heads;
        let split = |xs: &Tensor| xs.view((sentences, length, self.heads, head)).transpose(1, 2); // (sentences, heads, length, head)
        let (query, key, value) = (split(query), split(key), split(value));
        let dropout = self.dropout(train);
        Tensor::scaled_dot_product_attention(&query, &key, &value, None::<Tensor>, dropout, false, None, false)
            .transpose(1, 2)
            .reshape([sentences * length, hidden])
    }

    /// The same within all sentences of a batch, (tokens, hidden) each, to (tokens, hidden).
    fn attend_packed(&self, packed: [&Tensor; 3], starts: &Starts, train: bool) -> Tensor {
        let [query, key, value] = packed.map(|xs| xs.view((xs.size()[0], self.heads, -1))); // (tokens, heads, head)
        packed_attention([&query, &key, &value], &starts.places, starts.longest, self.dropout(train))
            .expect("a batch that fits the kernel")
            .reshape_as(packed[0])
    }

    fn dropout(&self, train: bool) -> f64 {
        if train { self.attention_dropout } else { 0.0 }
    }
}

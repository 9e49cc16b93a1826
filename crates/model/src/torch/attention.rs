//! Multi-head self-attention over the sentences of a packed batch.

use tch::Tensor;

use super::{
    linear::{LayerNorm, Linear},
    packed::{PackedBatch, Packing, Run, Starts},
    variables::Variables,
};
use crate::{architecture, operators::packed_attention};

/// Self-attention with its output product, residual and layer norm. Source: transformers, `RobertaAttention`.
#[derive(Debug)]
pub(crate) struct Attention {
    projections: [Linear; 3], // to queries, keys and values
    output: Linear,
    norm: LayerNorm,
    heads: i64,
    weights_dropout: f64,
    output_dropout: f64,
}

impl Attention {
    pub(crate) fn new(variables: &Variables, attention: &architecture::Attention) -> Self {
        Self {
            projections: attention.projections.each_ref().map(|affine| Linear::new(variables, affine)),
            output: Linear::new(variables, &attention.output),
            norm: LayerNorm::new(variables, &attention.norm),
            heads: attention.heads,
            weights_dropout: attention.weights_dropout,
            output_dropout: attention.output_dropout,
        }
    }

    /// (tokens, hidden) to (tokens, hidden); a token attends to the tokens of its own sentence.
    pub(crate) fn forward(&self, hidden: &Tensor, batch: &PackedBatch, train: bool) -> Tensor {
        let [query, key, value] = self.projections.each_ref().map(|projection| projection.forward(hidden));
        let attend = |run: &Run| self.attend(&run.view(&query), &run.view(&key), &run.view(&value), train);
        let context = match &batch.packing {
            Packing::Starts(starts) => self.attend_packed([&query, &key, &value], starts, self.dropout(train)),
            Packing::Runs { runs, .. } => Tensor::cat(&runs.iter().map(attend).collect::<Vec<_>>(), 0),
        }; // (tokens, hidden)
        let output = self.output.forward(&context).dropout(self.output_dropout, train);
        self.norm.forward(&(output + hidden))
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
    ///
    /// The packed kernel reads 16 bytes at once, and has no dropout to be trusted: what it leaves out in the backward pass is
    /// not what it left out in the forward pass (`scripts/reference/packed_attention.py`).
    fn attend_packed(&self, packed: [&Tensor; 3], starts: &Starts, dropout: f64) -> Tensor {
        let (tokens, hidden) = packed[0].size2().expect("(tokens, hidden)");
        let head = hidden / self.heads;
        if dropout > 0.0 || head % 8 != 0 {
            return self.attend_padded(packed, starts, dropout);
        }
        let [query, key, value] = packed.map(|xs| xs.view((tokens, self.heads, head)));
        match packed_attention([&query, &key, &value], &starts.cu_seqlens, starts.max_seqlen) {
            Ok(context) => context.reshape([tokens, hidden]),
            // A GPU before Ampere has none for bf16.
            Err(error) if error.to_string().contains("no kernel found") => self.attend_padded(packed, starts, dropout),
            Err(error) => panic!("{error}"), // such as memory, like every operator of tch
        }
    }

    /// The same with sentences padded to the longest for this alone.
    fn attend_padded(&self, packed: [&Tensor; 3], starts: &Starts, dropout: f64) -> Tensor {
        let [query, key, value] = packed.map(|xs| {
            let padded = starts.pad(xs, 0.0);
            let (sentences, longest, _) = padded.size3().expect("(sentences, longest, hidden)");
            padded.view((sentences, longest, self.heads, -1)).transpose(1, 2) // (sentences, heads, longest, head)
        });
        let mask = starts.is_token().unsqueeze(1).unsqueeze(1); // (sentences, 1, 1, longest)
        let context =
            Tensor::scaled_dot_product_attention(&query, &key, &value, Some(&mask), dropout, false, None, false);
        starts.unpad(&context.transpose(1, 2).flatten(2, 3))
    }

    fn dropout(&self, train: bool) -> f64 {
        if train { self.weights_dropout } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::EncoderConfig;

    #[test]
    fn padded_sentences_attend_to_their_own_tokens_as_packed_ones() {
        let config: EncoderConfig = serde_json::from_str(
            r#"{"model_type": "bert", "vocab_size": 10, "hidden_size": 16, "num_hidden_layers": 1,
                "num_attention_heads": 2, "intermediate_size": 4, "attention_probs_dropout_prob": 0.0}"#,
        )
        .unwrap();
        tch::manual_seed(7);
        let sentences = [vec![5, 6, 7], vec![8], vec![2, 3, 4, 1], vec![9, 1]];
        let batch = PackedBatch::new(&sentences, &config.architecture().embeddings, Device::Cpu);
        let Packing::Runs { runs, .. } = &batch.packing else { panic!("a processor works on runs") };
        let starts = Starts::new(&[vec![8], vec![9, 1], vec![5, 6, 7], vec![2, 3, 4, 1]], Device::Cpu);
        let described = &config.architecture().layers[0].attention;
        let variables = Variables::new(&config.architecture().variables(), Device::Cpu).unwrap();
        let attention = Attention::new(&variables, described);
        let packed = [(); 3].map(|()| Tensor::randn([10, 16], (Kind::Float, Device::Cpu)).set_requires_grad(true));
        let weights = Tensor::randn([10, 16], (Kind::Float, Device::Cpu));
        let [query, key, value] = packed.each_ref();
        let attend = |run: &Run| attention.attend(&run.view(query), &run.view(key), &run.view(value), false);
        let by_runs = Tensor::cat(&runs.iter().map(attend).collect::<Vec<_>>(), 0);
        let padded = attention.attend_padded([query, key, value], &starts, 0.0);
        assert!(by_runs.allclose(&padded, 1e-5, 1e-6, false), "{by_runs} {padded}");
        let [grads, others] = [by_runs, padded].map(|context| {
            let loss = (context * &weights).sum(Kind::Float);
            Tensor::run_backward(&[loss], &[query, key, value], false, false)
        });
        assert!(grads.iter().zip(&others).all(|(grad, other)| grad.allclose(other, 1e-5, 1e-6, false)));
    }
}

//! DeBERTa-v2's convolution over neighbouring tokens.

use tch::{Device, Kind, Tensor};

use super::{
    linear::{Norm, activate},
    packed::PackedBatch,
    variables::Variables,
};
use crate::{architecture, config::Activation};

/// Beside the first layer. Source: transformers, `ConvLayer` in `modeling_deberta_v2.py`.
#[derive(Debug)]
pub(crate) struct Convolution {
    weight: Tensor, // (hidden, hidden, kernel)
    bias: Tensor,   // (hidden)
    activation: Activation,
    dropout: f64,
    norm: Norm,
}

impl Convolution {
    pub(crate) fn new(variables: &Variables, described: &architecture::Convolution) -> Self {
        Self {
            weight: variables.get(&described.path, "weight"),
            bias: variables.get(&described.path, "bias"),
            activation: described.activation,
            dropout: described.dropout,
            norm: Norm::new(variables, &described.norm),
        }
    }

    /// The first layer's input and output, (tokens, hidden) each, to (tokens, hidden).
    pub(crate) fn forward(&self, input: &Tensor, output: &Tensor, batch: &PackedBatch, train: bool) -> Tensor {
        let kind = input.kind();
        let (hidden, kernel) = (self.weight.size()[0], self.weight.size()[2]);
        // A row of zeros beyond the tokens stands for what is beyond a sentence.
        let tokens = input.size()[0];
        let zeros = Tensor::zeros([1, hidden], (kind, input.device()));
        let rows = Tensor::cat(&[input, &zeros], 0).index_select(0, &neighbours(batch, kernel, tokens, input.device()));
        let weight = self.weight.to_kind(kind).permute([0, 2, 1]).reshape([hidden, kernel * hidden]);
        let mixed = rows.view((tokens, kernel * hidden)).linear(&weight, Some(self.bias.to_kind(kind)));
        self.norm.forward(&(activate(self.activation, &mixed.dropout(self.dropout, train)) + output))
    }
}

/// Of each token in packed order, the rows that the kernel meets, and `none` for one beyond its sentence.
fn neighbours(batch: &PackedBatch, kernel: i64, none: i64, device: Device) -> Tensor {
    let reach = kernel / 2;
    let mut rows = Vec::with_capacity((none * kernel) as usize);
    for sentence in batch.sentences() {
        for token in sentence.clone() {
            rows.extend((token - reach..=token + reach).map(|row| if sentence.contains(&row) { row } else { none }));
        }
    }
    Tensor::from_slice(&rows).to_device(device).to_kind(Kind::Int64)
}

//! Encoder and head on libtorch: from token ids to embeddings of sentences.

use tch::{Device, Tensor};

use super::{encoder::Encoder, head::Head, packed::PackedBatch, variables::Variables};
use crate::{
    architecture::{self, Architecture},
    head,
    precision::Precision,
    sequence::Sequence,
};

/// What computes with a model's variables.
#[derive(Debug)]
pub(crate) struct SentenceModel {
    pub(crate) encoder: Encoder,
    pub(crate) head: Head,
    embeddings: architecture::Embeddings,
}

impl SentenceModel {
    pub(crate) fn new(variables: &Variables, architecture: &Architecture, head: &head::Head) -> Self {
        Self {
            encoder: Encoder::new(variables, architecture),
            head: Head::new(variables, head),
            embeddings: architecture.embeddings.clone(),
        }
    }

    /// Embeddings of tokenized sentences, all in one packed batch: (sentences, width), f32.
    pub(crate) fn forward<S: Sequence>(
        &self,
        sentences: &[S],
        device: Device,
        precision: Precision,
        train: bool,
    ) -> Tensor {
        let batch = PackedBatch::new(sentences, &self.embeddings, device);
        let hidden = self.encoder.forward(&batch, precision, train); // (tokens, hidden)
        self.head.forward(&hidden, &batch, train)
    }

    /// Embeddings of the tokens of all sentences, one sentence after the other: (tokens, hidden), in the number format of
    /// `precision`.
    pub(crate) fn forward_tokens<S: Sequence>(
        &self,
        sentences: &[S],
        device: Device,
        precision: Precision,
        train: bool,
    ) -> Tensor {
        let batch = PackedBatch::new(sentences, &self.embeddings, device);
        batch.restore_tokens(self.encoder.forward(&batch, precision, train))
    }
}

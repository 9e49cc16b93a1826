//! Sentences to embeddings, in batches of about equal lengths.

use std::{cmp::Reverse, collections::HashMap};

use super::{Backbone, SentenceEncoder};
use crate::{
    embeddings::Embeddings,
    error::Error,
    native::{NativeEncoder, NativeHead},
    sequence::Sequence,
    similarity::normalize,
    slices,
    text_losses::TextLosses,
};

/// Most tokens that a processor is given at once through libtorch: activations stay within tens of megabytes.
const MAX_BATCH_TOKENS: usize = 4096;
/// Most tokens that a GPU is given at once: enough to fill one also with a small encoder.
const MAX_GPU_BATCH_TOKENS: usize = 16_384;

impl SentenceEncoder {
    /// Embeddings of sentences, each of [dimensions](SentenceEncoder::dimensions) numbers, in the order of the sentences. An
    /// embedding does not depend on the sentences beside it.
    pub fn encode(&self, sentences: &[impl AsRef<str>]) -> Result<Embeddings, Error> {
        self.encode_with_progress(sentences, &mut |_| {})
    }

    /// Like [`SentenceEncoder::encode`]; after each batch `progress` is told how many sentences it held.
    pub fn encode_with_progress(
        &self,
        sentences: &[impl AsRef<str>],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Embeddings, Error> {
        Ok(self.encode_with_losses(sentences, progress)?.0)
    }

    /// Like [`SentenceEncoder::encode_with_progress`], and tells what the model could not take of the sentences. One that
    /// stands there several times is tokenized and encoded once, and counted as often as it is there.
    pub fn encode_with_losses(
        &self,
        sentences: &[impl AsRef<str>],
        progress: &mut dyn FnMut(usize),
    ) -> Result<(Embeddings, TextLosses), Error> {
        let mut places: HashMap<&str, usize> = HashMap::with_capacity(sentences.len());
        let mut distinct: Vec<&str> = Vec::new();
        let rows: Vec<usize> = sentences
            .iter()
            .map(|sentence| {
                let sentence = sentence.as_ref();
                *places.entry(sentence).or_insert_with(|| {
                    distinct.push(sentence);
                    distinct.len() - 1
                })
            })
            .collect();
        let mut copies = vec![0; distinct.len()];
        rows.iter().for_each(|&row| copies[row] += 1);
        let tokenized = self.tokenizer().tokenize(&distinct)?;
        let (mut losses, special) = (TextLosses::none(self.tokenizer()), self.tokenizer().special_token_ids());
        tokenized
            .iter()
            .zip(&copies)
            .for_each(|(text, &copies)| losses.add(&text.ids, text.is_truncated, copies, &special));
        let ids: Vec<Vec<i64>> = tokenized.into_iter().map(|tokenized| tokenized.ids).collect();
        let mut told = |batch: &[usize]| progress(batch.iter().map(|&index| copies[index]).sum());
        let embeddings = self.encode_ids_with_progress(&ids, &mut told)?;
        let embeddings = match distinct.len() == sentences.len() {
            true => embeddings,
            false => embeddings.select(&rows),
        };
        Ok((embeddings, losses))
    }

    /// Embeddings of sentences that [`Tokenizer::encode`](crate::Tokenizer::encode) made token ids of.
    ///
    /// # Panics
    /// If a sentence has more than the encoder has positions, or an id that is beyond its vocabulary.
    pub fn encode_ids<S: Sequence>(&self, sentences: &[S]) -> Result<Embeddings, Error> {
        self.encode_ids_with_progress(sentences, &mut |_| {})
    }

    /// Like [`SentenceEncoder::encode_ids`]; after each batch `told` is given the numbers of its sentences.
    ///
    /// # Panics
    /// As there.
    pub fn encode_ids_with_progress<S: Sequence>(
        &self,
        sentences: &[S],
        told: &mut dyn FnMut(&[usize]),
    ) -> Result<Embeddings, Error> {
        // By length, so that a batch has few different ones; the longest first, so that the peak of memory comes early.
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_by_key(|&index| Reverse(sentences[index].ids().len()));
        let (width, mut embeddings) = (self.parts.width(), Embeddings::zeros(sentences.len(), self.dimensions()));
        let mut embedded = |batch: &[usize], rows: &[f32]| {
            for (&sentence, row) in batch.iter().zip(rows.chunks_exact(width)) {
                // After it was divided by its norm. Source: sentence-transformers, `encode`.
                let kept = embeddings.row_mut(sentence);
                kept.copy_from_slice(&row[..kept.len()]);
                if self.parts.renormalizes {
                    normalize(kept);
                }
            }
            told(batch);
        };
        let mut by_kernels = |encoder: &NativeEncoder, head: &NativeHead| {
            let sorted: Vec<&S> = order.iter().map(|&index| &sentences[index]).collect();
            encoder.forward(&sorted, head, &mut |pass, rows| embedded(&order[pass], rows));
        };
        match &self.backbone {
            Backbone::Native(native) => by_kernels(&native.0, &native.1),
            Backbone::Training(variables) => {
                let variables = variables.by_name();
                let read = |name: &str, _: &[i64]| Ok(variables[name].shallow_clone());
                let encoder =
                    NativeEncoder::new(&read, self.config().architecture(), self.precision.format(), self.parts.types)?;
                by_kernels(&encoder, &NativeHead::new(&read, self.head())?);
            }
            Backbone::Torch(model) => {
                let most = if self.device.is_cuda() { MAX_GPU_BATCH_TOKENS } else { MAX_BATCH_TOKENS };
                let mut rest = order.as_slice();
                while let Some(&first) = rest.first() {
                    let count = (most / sentences[first].ids().len().max(1)).clamp(1, rest.len());
                    let (batch, others) = rest.split_at(count);
                    let sentences: Vec<&S> = batch.iter().map(|&index| &sentences[index]).collect();
                    let rows = tch::no_grad(|| model.forward(&sentences, self.device, self.precision, false));
                    embedded(batch, &slices::to_vec(&rows)?);
                    rest = others;
                }
            }
        }
        Ok(embeddings)
    }
}

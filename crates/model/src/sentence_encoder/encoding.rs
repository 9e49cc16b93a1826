//! Sentences to embeddings, in batches of about equal lengths.

use std::{cmp::Reverse, collections::HashMap};

use tch::Tensor;

use super::{SentenceEncoder, Weights, is_native};
use crate::{error::Error, native::NativeEncoder, similarity::normalize, slices, text_losses::TextLosses};

/// Most tokens that a processor is given at once through libtorch: activations stay within tens of megabytes.
const MAX_BATCH_TOKENS: usize = 4096;
/// Most tokens that a GPU is given at once: enough to fill one also with a small encoder.
const MAX_GPU_BATCH_TOKENS: usize = 16_384;

impl SentenceEncoder {
    /// Embeddings of sentences: (sentences, [dimensions](SentenceEncoder::dimensions)), f32, on the processor, in the order of the sentences. An embedding
    /// does not depend on the sentences beside it.
    pub fn encode(&self, sentences: &[impl AsRef<str>]) -> Result<Tensor, Error> {
        self.encode_with_progress(sentences, &mut |_| {})
    }

    /// Like [`SentenceEncoder::encode`]; after each batch `progress` is told how many sentences it held.
    pub fn encode_with_progress(
        &self,
        sentences: &[impl AsRef<str>],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Tensor, Error> {
        Ok(self.encode_with_losses(sentences, progress)?.0)
    }

    /// Like [`SentenceEncoder::encode_with_progress`], and tells what the model could not take of the sentences. One that
    /// stands there several times is tokenized and encoded once, and counted as often as it is there.
    pub fn encode_with_losses(
        &self,
        sentences: &[impl AsRef<str>],
        progress: &mut dyn FnMut(usize),
    ) -> Result<(Tensor, TextLosses), Error> {
        let mut places: HashMap<&str, usize> = HashMap::with_capacity(sentences.len());
        let mut distinct: Vec<&str> = Vec::new();
        let rows: Vec<i64> = sentences
            .iter()
            .map(|sentence| {
                let sentence = sentence.as_ref();
                *places.entry(sentence).or_insert_with(|| {
                    distinct.push(sentence);
                    distinct.len() - 1
                }) as i64
            })
            .collect();
        let mut copies = vec![0; distinct.len()];
        rows.iter().for_each(|&row| copies[row as usize] += 1);
        let tokenized = self.tokenizer.tokenize(&distinct)?;
        let (mut losses, special) = (TextLosses::none(&self.tokenizer), self.tokenizer.special_token_ids());
        tokenized.iter().zip(&copies).for_each(|(text, &copies)| losses.add(text, copies, &special));
        let ids: Vec<Vec<i64>> = tokenized.into_iter().map(|tokenized| tokenized.ids).collect();
        let mut told = |batch: &[usize]| progress(batch.iter().map(|&index| copies[index]).sum());
        let embeddings = self.encode_ids_with_progress(&ids, &mut told)?;
        let embeddings = match distinct.len() == sentences.len() {
            true => embeddings,
            false => embeddings.index_select(0, &Tensor::from_slice(&rows)),
        };
        Ok((embeddings, losses))
    }

    /// Embeddings of sentences that [`Tokenizer::encode`](crate::Tokenizer::encode) made token ids of: (sentences,
    /// dimensions), f32, on the processor.
    ///
    /// # Panics
    /// If a sentence has no token, more than the encoder has positions, or an id that is beyond its vocabulary.
    pub fn encode_ids(&self, sentences: &[Vec<i64>]) -> Result<Tensor, Error> {
        self.encode_ids_with_progress(sentences, &mut |_| {})
    }

    /// Like [`SentenceEncoder::encode_ids`]; after each batch `told` is given the numbers of its sentences.
    ///
    /// # Panics
    /// As there.
    pub fn encode_ids_with_progress(
        &self,
        sentences: &[Vec<i64>],
        told: &mut dyn FnMut(&[usize]),
    ) -> Result<Tensor, Error> {
        // By length, so that a batch has few different ones; the longest first, so that the peak of memory comes early.
        let mut order: Vec<usize> = (0..sentences.len()).collect();
        order.sort_by_key(|&index| Reverse(sentences[index].len()));
        let (width, kept) = (self.width(), self.dimensions());
        // Rows are written one by one: the threads that an operator of libtorch leaves waiting take time from the kernels'.
        let mut embeddings = vec![0.0f32; sentences.len() * kept];
        let mut embedded = |batch: &[usize], pooled: &[f32]| {
            for (&sentence, pooled) in batch.iter().zip(pooled.chunks_exact(width)) {
                // After it was divided by its norm. Source: sentence-transformers, `encode`.
                embeddings[sentence * kept..][..kept].copy_from_slice(&pooled[..kept]);
            }
            told(batch);
        };
        // Training changes the weights, so those of an encoder in training are laid out anew.
        let snapshot = match &self.weights {
            Weights::Torch(trainable) if is_native(self.device, self.precision) => {
                let variables = trainable.variables.by_name();
                let read = |name: &str, _: &[i64]| Ok(variables[name].shallow_clone());
                Some(Box::new(NativeEncoder::new(&read, self.config.architecture(), self.precision.format())?))
            }
            _ => None,
        };
        match (&self.weights, &snapshot) {
            (Weights::Native(native), _) | (_, Some(native)) => {
                let ids: Vec<&[i64]> = order.iter().map(|&index| sentences[index].as_slice()).collect();
                native.forward(&ids, self.pooling, &mut |pass, pooled| {
                    if self.normalize {
                        pooled.chunks_exact_mut(width).for_each(normalize);
                    }
                    embedded(&order[pass], pooled);
                });
            }
            (Weights::Torch(_), None) => {
                let most = if self.device.is_cuda() { MAX_GPU_BATCH_TOKENS } else { MAX_BATCH_TOKENS };
                let mut rest = order.as_slice();
                while let Some(&first) = rest.first() {
                    let count = (most / sentences[first].len()).clamp(1, rest.len());
                    let (batch, others) = rest.split_at(count);
                    let ids: Vec<Vec<i64>> = batch.iter().map(|&index| sentences[index].clone()).collect();
                    let pooled = tch::no_grad(|| self.forward(&ids, self.precision, false));
                    embedded(batch, &slices::to_vec(&pooled)?);
                    rest = others;
                }
            }
        }
        Ok(Tensor::from_slice(&embeddings).view((sentences.len() as i64, kept as i64)))
    }
}

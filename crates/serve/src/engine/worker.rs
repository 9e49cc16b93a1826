//! What the engine's thread does: make the encoder, then compute batch after batch.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::SyncSender,
    time::Instant,
};

use model::Sequence;

use super::{
    Embedding, Failure, Input, StartError,
    encoder::Encode,
    queue::{Piece, Queue},
};
use crate::metrics::Metrics;

pub(super) fn run<E: Encode>(
    make: impl FnOnce() -> Result<(E, Vec<Input>), E::Error>,
    queue: &Queue,
    metrics: &Metrics,
    ready: &SyncSender<Result<(), StartError<E::Error>>>,
) {
    let (encoder, probe) = match make() {
        Ok(made) => made,
        Err(error) => {
            let _ = ready.send(Err(StartError::Make(error)));
            return;
        }
    };
    let mut worker = Worker { encoder, queue, metrics };
    if let Err(what) = worker.encode(&probe) {
        let _ = ready.send(Err(StartError::Probe(what)));
        return;
    }
    let _ = ready.send(Ok(()));
    while let Some(batch) = queue.next_batch() {
        if !worker.compute(batch)
            && let Err(what) = worker.encode(&probe)
        {
            tracing::error!(error = what, "the encoder cannot go on, the engine stops");
            return;
        }
    }
}

struct Worker<'a, E> {
    encoder: E,
    queue: &'a Queue,
    metrics: &'a Metrics,
}

impl<E: Encode> Worker<'_, E> {
    /// Computes a batch and answers those who wait for it; false if the encoder failed.
    fn compute(&mut self, mut batch: Vec<Piece>) -> bool {
        let parts: Vec<Vec<Input>> = batch.iter_mut().map(|piece| piece.job.sentences(piece.range.clone())).collect();
        let sentences: Vec<Input> = parts.iter().flatten().cloned().collect();
        let tokens: usize = sentences.iter().map(|sentence| sentence.ids().len()).sum();
        self.metrics.batch_size.observe(sentences.len() as f64);
        self.metrics.batch_tokens.observe(tokens as f64);
        let started = Instant::now();
        let outcome = self.encode(&sentences);
        let time = started.elapsed();
        self.queue.note(tokens, time);
        match outcome {
            Ok(embeddings) => {
                let mut embeddings = embeddings.into_iter();
                for piece in batch {
                    let own = embeddings.by_ref().take(piece.range.len()).collect();
                    if let Some(unfinished) = piece.job.add(own, time) {
                        self.queue.put_back(unfinished);
                    }
                }
                true
            }
            Err(what) if batch.len() == 1 => {
                tracing::error!(error = what, sentences = sentences.len(), "the encoder failed");
                batch.into_iter().for_each(|piece| piece.job.fail(Failure::Encoder(what.clone())));
                false
            }
            // One by one, so that only the request that is to blame fails.
            Err(_) => {
                batch.into_iter().zip(parts).fold(true, |good, (piece, part)| self.compute_alone(piece, part) && good)
            }
        }
    }

    fn compute_alone(&mut self, piece: Piece, sentences: Vec<Input>) -> bool {
        let started = Instant::now();
        match self.encode(&sentences) {
            Ok(embeddings) => {
                if let Some(unfinished) = piece.job.add(embeddings, started.elapsed()) {
                    self.queue.put_back(unfinished);
                }
                true
            }
            Err(what) => {
                tracing::error!(error = what, sentences = sentences.len(), "the encoder failed");
                piece.job.fail(Failure::Encoder(what));
                false
            }
        }
    }

    /// Embeddings of sentences, or in one line why there are none; a panic is such a reason.
    fn encode(&mut self, sentences: &[Input]) -> Result<Vec<Embedding>, String> {
        // The encoder is read-only but for scratch memory that each pass writes anew.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.encoder.encode(sentences)));
        let embeddings = match outcome {
            Ok(Ok(embeddings)) => embeddings,
            Ok(Err(error)) => return Err(one_line(&error.to_string())),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                return Err(one_line(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("unknown cause")));
            }
        };
        if embeddings.len() != sentences.len() {
            return Err(format!("{} embeddings for {} sentences", embeddings.len(), sentences.len()));
        }
        if embeddings.iter().flatten().any(|value| !value.is_finite()) {
            return Err("an embedding is not finite".to_owned());
        }
        Ok(embeddings.into_iter().map(Embedding::from).collect())
    }
}

/// The first line: libtorch appends its own call stack.
fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

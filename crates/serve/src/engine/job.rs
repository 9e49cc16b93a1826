//! A request on its way through the queue: its sentences, how far they are computed, and who waits for them.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use model::Sequence;

use super::{Admission, Computed, Embedding, Failure, Input, load::Load};

/// A request in the queue.
pub(super) struct Job {
    sentences: Vec<Input>,
    admission: Admission,
    embeddings: Vec<Embedding>, // of the first sentences
    reply: oneshot::Sender<Result<Computed, Failure>>,
    submitted: Instant,
    queue: Option<Duration>, // once the first batch has begun
    inference: Duration,
    tokens: usize,      // of the sentences not yet taken
    load: Option<Load>, // of a request that counts against the queue's limit
    taken: usize,
}

impl Job {
    pub(super) fn new(
        sentences: Vec<Input>,
        admission: Admission,
        reply: oneshot::Sender<Result<Computed, Failure>>,
    ) -> Self {
        let tokens = sentences.iter().map(|sentence| sentence.ids().len()).sum();
        let embeddings = Vec::with_capacity(sentences.len());
        let (submitted, inference) = (Instant::now(), Duration::ZERO);
        Self {
            sentences,
            admission,
            embeddings,
            reply,
            submitted,
            queue: None,
            inference,
            tokens,
            load: None,
            taken: 0,
        }
    }

    /// Counts it among what waits.
    pub(super) fn wait(&mut self, load: Load) {
        self.load = Some(load);
    }

    /// Tokens that are still to be taken.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Whether it counts against the queue's limit.
    pub(super) fn is_bounded(&self) -> bool {
        self.admission == Admission::Bounded
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Takes the next sentences that fit into `budget` tokens, one at least if `is_first`; returns which they are.
    pub(super) fn take(&mut self, budget: usize, is_first: bool) -> Range<usize> {
        let start = self.taken;
        let mut left = budget;
        while let Some(sentence) = self.sentences.get(self.taken) {
            let tokens = sentence.ids().len();
            if tokens > left && !(is_first && self.taken == start) {
                break;
            }
            left = left.saturating_sub(tokens);
            self.tokens -= tokens;
            self.taken += 1;
            if let Some(load) = &self.load {
                load.take(tokens);
            }
        }
        start..self.taken
    }

    /// Moves sentences out, to be computed.
    pub(super) fn sentences(&mut self, range: Range<usize>) -> Vec<Input> {
        self.sentences[range].iter_mut().map(std::mem::take).collect()
    }

    pub(super) fn begin(&mut self) {
        self.queue.get_or_insert_with(|| self.submitted.elapsed());
    }

    /// Whoever waits for it gives up: nothing of it is waited for any more.
    pub(super) fn give_up(&self) {
        if let Some(load) = &self.load {
            load.clear();
        }
    }

    /// Adds the embeddings of the sentences that were taken; returns the job if some are left.
    pub(super) fn add(mut self, embeddings: Vec<Embedding>, inference: Duration) -> Option<Self> {
        self.embeddings.extend(embeddings);
        self.inference += inference;
        if self.taken < self.sentences.len() {
            return Some(self);
        }
        let queue = self.queue.unwrap_or_default();
        let _ = self.reply.send(Ok(Computed { embeddings: self.embeddings, queue, inference: self.inference }));
        None
    }

    pub(super) fn fail(self, failure: Failure) {
        let _ = self.reply.send(Err(failure));
    }
}

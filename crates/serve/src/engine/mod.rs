//! The engine: one thread that owns the encoder and computes what waits in one bounded queue.
//!
//! Handlers tokenize and [`Engine::submit`]; the thread takes batches by token budget from whatever waits, and never
//! waits for company. Two lanes share its time in turn: requests that fit into one batch, and work that does not (rows
//! of a CSV file, long lists), of which each batch takes a part. So a pair waits for at most the batch in work and, if
//! another pair came just before, for one more. A request whose client is gone is dropped where it waits.

mod encoder;
mod job;
mod load;
mod queue;
mod worker;

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::oneshot;

pub(crate) use encoder::{Encode, Input, Models};

use crate::metrics::Metrics;
use job::Job;
use load::Load;
use queue::Queue;

/// An embedding as the encoder gives it: (hidden).
pub(crate) type Embedding = Arc<[f32]>;

/// Limits of the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Tokens of a batch, special tokens included.
    pub(crate) max_batch_tokens: usize,
    /// Tokens that may wait in each of the two lanes; a request beyond them is refused.
    pub(crate) max_queue_tokens: usize,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Computed {
    /// One embedding per sentence.
    pub(crate) embeddings: Vec<Embedding>,
    /// From submission to its first batch.
    pub(crate) queue: Duration,
    /// Time of the batches that its sentences were in.
    pub(crate) inference: Duration,
}

/// Why a request was not computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Too much waits already.
    #[error("the server is overloaded: try again in {retry_after} s")]
    Overloaded {
        /// Seconds after which there should be room.
        retry_after: u64,
    },
    /// The encoder failed on this request.
    #[error("the encoder failed: {0}")]
    Encoder(String),
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

/// How a request enters the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// If there is room for it.
    Bounded,
    /// Whatever waits: a part of work that was admitted as a whole.
    Part,
}

/// A handle on the engine's thread; dropped, it ends the thread after the batch in work.
pub(crate) struct Engine {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the thread, which makes the encoder, and waits until it has encoded the probe that comes with it: what every sound
    /// encoder can compute; after a failure it tells whether to go on.
    pub(crate) fn start<E: Encode>(
        make: impl FnOnce() -> Result<(E, Vec<Input>), E::Error> + Send + 'static,
        options: Options,
        threads: usize,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError<E::Error>> {
        let queue = Arc::new(Queue::new(options, metrics.clone()));
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let pool = rayon::ThreadPoolBuilder::new().thread_name(|index| format!("encoder-{index}"));
        let pool = pool.num_threads(threads).build().map_err(|error| StartError::Thread(error.to_string()))?;
        let work = queue.clone();
        let thread = thread::Builder::new().name("engine".to_owned()).spawn(move || {
            let work = ClosedAtEnd(work);
            // Within the pool, so that a product's threads are one step away.
            pool.install(|| worker::run(make, &work.0, &metrics, &ready));
        });
        let thread = thread.map_err(|error| StartError::Thread(error.to_string()))?;
        match started.recv() {
            Ok(Ok(())) => Ok(Self { queue, thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::Thread("it ended before the encoder was ready".to_owned())),
        }
    }

    /// Puts tokenized sentences, or pairs of them, none of them empty, into the queue.
    pub(crate) fn submit(
        &self,
        sentences: impl IntoIterator<Item = impl Into<Input>>,
        admission: Admission,
    ) -> Result<Pending, Failure> {
        let sentences: Vec<Input> = sentences.into_iter().map(Into::into).collect();
        let (reply, outcome) = oneshot::channel();
        if sentences.is_empty() {
            let nothing = Computed { embeddings: Vec::new(), queue: Duration::ZERO, inference: Duration::ZERO };
            let _ = reply.send(Ok(nothing));
            return Ok(Pending { outcome, load: None });
        }
        let load = self.queue.push(Job::new(sentences, admission, reply))?;
        Ok(Pending { outcome, load })
    }

    /// Fails if a request of at least this many tokens would be refused now.
    pub(crate) fn check_room(&self, least: usize) -> Result<(), Failure> {
        self.queue.check_room(least)
    }

    /// How long the batch in work has been computed; nothing where none is in work.
    pub(crate) fn in_work(&self) -> Option<Duration> {
        self.queue.in_work()
    }

    /// Brings the queue's metrics to what waits now.
    pub(crate) fn tell_waiting(&self) {
        self.queue.tell_tokens();
    }

    /// Whether the engine computes what is submitted.
    pub(crate) fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Refuses what comes from now on, drops what waits, and ends the thread after the batch in work.
    pub(crate) fn stop(&self) {
        self.queue.close();
    }
}

/// A queue that takes nothing any more when its thread ends, be it by a panic.
struct ClosedAtEnd(Arc<Queue>);

impl Drop for ClosedAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
        // libtorch must not be at work when the process ends.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A request that waits; dropped, it leaves the queue.
#[derive(Debug)]
pub(crate) struct Pending {
    outcome: oneshot::Receiver<Result<Computed, Failure>>,
    load: Option<Load>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(load) = &self.load {
            load.clear();
        }
    }
}

impl Pending {
    /// Waits for the outcome.
    pub(crate) async fn outcome(mut self) -> Result<Computed, Failure> {
        (&mut self.outcome).await.unwrap_or(Err(Failure::Stopped))
    }
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError<E> {
    /// The encoder could not be made.
    #[error(transparent)]
    Make(E),
    /// The encoder cannot embed a sentence.
    #[error("the model does not encode: {0}")]
    Probe(String),
    /// The thread could not be started.
    #[error("cannot start the engine's thread: {0}")]
    Thread(String),
}

#[cfg(test)]
mod tests;

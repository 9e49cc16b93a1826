//! The bounded queue between handlers and the engine's thread.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Failure, Options, job::Job};
use crate::metrics::Metrics;

const LONGEST_WAIT: u64 = 60; // seconds that a client is asked to wait

/// Sentences of one job within a batch.
pub(super) struct Piece {
    pub(super) job: Job,
    pub(super) range: Range<usize>,
}

/// Jobs that wait, in two lanes.
pub(super) struct Queue {
    options: Options,
    state: Mutex<State>,
    news: Condvar,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    short: VecDeque<Job>, // each fits into a batch
    long: VecDeque<Job>,
    unfinished: usize, // tokens still to be taken of the long jobs that are in the batch in work
    last_was_short: bool,
    tokens_per_second: f64, // of late; 0 before the first batch
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(options: Options, metrics: Arc<Metrics>) -> Self {
        Self { options, state: Mutex::default(), news: Condvar::new(), metrics }
    }

    pub(super) fn push(&self, job: Job) -> Result<(), Failure> {
        let mut state = self.state();
        if job.is_bounded() {
            let is_short = job.tokens() <= self.options.max_batch_tokens;
            state.check_room(job.tokens(), is_short, &self.options)?;
        } else if state.is_closed {
            return Err(Failure::Stopped);
        }
        let is_short = job.is_bounded() && job.tokens() <= self.options.max_batch_tokens;
        if is_short {
            state.short.push_back(job)
        } else {
            state.long.push_back(job)
        }
        self.tell(&state);
        self.news.notify_one();
        Ok(())
    }

    /// Fails if a bounded job of at least so many tokens would be refused, whichever lane it is for.
    pub(super) fn check_room(&self, least: usize) -> Result<(), Failure> {
        let mut state = self.state();
        if least <= self.options.max_batch_tokens && state.check_room(least, true, &self.options).is_ok() {
            return Ok(());
        }
        state.check_room(least, false, &self.options)
    }

    /// Waits for work and takes a batch of it; `None` once the queue is closed.
    pub(super) fn next_batch(&self) -> Option<Vec<Piece>> {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return None;
            }
            let batch = state.take_batch(self.options.max_batch_tokens);
            let bounded = batch.iter().filter(|piece| piece.job.is_bounded());
            state.unfinished = bounded.map(|piece| piece.job.tokens()).sum();
            self.tell(&state);
            if !batch.is_empty() {
                return Some(batch);
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Puts a job that is not finished behind the others of its lane.
    pub(super) fn put_back(&self, job: Job) {
        let mut state = self.state();
        if job.is_bounded() {
            state.unfinished = state.unfinished.saturating_sub(job.tokens());
        }
        if !state.is_closed {
            state.long.push_back(job);
        }
        self.tell(&state);
    }

    /// Notes how long a batch took.
    pub(super) fn note(&self, tokens: usize, time: Duration) {
        let rate = tokens as f64 / time.as_secs_f64().max(1e-6);
        let mut state = self.state();
        let known = state.tokens_per_second;
        state.tokens_per_second = if known == 0.0 { rate } else { 0.9 * known + 0.1 * rate };
    }

    /// Drops what waits and takes no more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.short.clear();
        state.long.clear();
        self.tell(&state);
        self.news.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: &State) {
        self.metrics.queue_size.set((state.short.len() + state.long.len()) as i64);
        let tokens = waiting_tokens(&state.short) + waiting_tokens(&state.long) + state.unfinished;
        self.metrics.queue_tokens.set(tokens as i64);
    }
}

impl State {
    fn lane(&mut self, is_short: bool) -> &mut VecDeque<Job> {
        if is_short { &mut self.short } else { &mut self.long }
    }

    /// A request that finds its lane empty is taken, however long it is.
    fn check_room(&mut self, tokens: usize, is_short: bool, options: &Options) -> Result<(), Failure> {
        if self.is_closed {
            return Err(Failure::Stopped);
        }
        // Each lane has the limit for itself, so that no long list keeps pairs out.
        let waiting = waiting_tokens(self.lane(is_short)) + if is_short { 0 } else { self.unfinished };
        if waiting == 0 || waiting + tokens <= options.max_queue_tokens {
            return Ok(());
        }
        let seconds = waiting as f64 / self.tokens_per_second.max(1.0);
        Err(Failure::Overloaded { retry_after: (seconds.ceil() as u64).clamp(1, LONGEST_WAIT) })
    }

    fn take_batch(&mut self, budget: usize) -> Vec<Piece> {
        // In turn where both lanes have work, so that neither starves.
        let short_first = !self.last_was_short || self.long.is_empty();
        let lanes = if short_first { [true, false] } else { [false, true] };
        for is_short in lanes {
            let batch = take(self.lane(is_short), budget);
            if !batch.is_empty() {
                self.last_was_short = is_short;
                return batch;
            }
        }
        Vec::new()
    }
}

/// Tokens that wait in a lane and count against the limit.
fn waiting_tokens(lane: &VecDeque<Job>) -> usize {
    lane.iter().filter(|job| job.is_bounded() && !job.is_abandoned()).map(Job::tokens).sum()
}

/// Takes from the front of a lane what fits into the budget; drops jobs that nobody waits for.
fn take(lane: &mut VecDeque<Job>, budget: usize) -> Vec<Piece> {
    let (mut batch, mut left) = (Vec::new(), budget);
    while let Some(mut job) = lane.pop_front() {
        if job.is_abandoned() {
            continue;
        }
        let before = job.tokens();
        let range = job.take(left, batch.is_empty());
        if range.is_empty() {
            lane.push_front(job);
            break;
        }
        left = left.saturating_sub(before - job.tokens());
        job.begin();
        batch.push(Piece { job, range });
    }
    batch
}

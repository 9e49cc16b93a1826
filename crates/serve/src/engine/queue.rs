//! The bounded queue between handlers and the engine's thread.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Failure, Options,
    job::Job,
    load::{Load, Waiting},
};
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
    waiting: [Waiting; 2], // in the short lane and in the long one; of a long job in work, what is still to be taken
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    short: VecDeque<Job>, // each fits into a batch
    long: VecDeque<Job>,
    since: Option<Instant>, // when the batch in work was taken
    last_was_short: bool,
    tokens_per_second: f64, // of late; 0 before the first batch
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(options: Options, metrics: Arc<Metrics>) -> Self {
        Self { options, state: Mutex::default(), news: Condvar::new(), waiting: Default::default(), metrics }
    }

    /// Puts a job into its lane; a bounded one is counted until it is taken, or the load that is returned is cleared.
    pub(super) fn push(&self, mut job: Job) -> Result<Option<Load>, Failure> {
        let mut state = self.state();
        if state.is_closed {
            return Err(Failure::Stopped);
        }
        let is_short = job.is_bounded() && job.tokens() <= self.options.max_batch_tokens;
        let mut load = None;
        if job.is_bounded() {
            self.check_lane(&state, job.tokens(), is_short)?;
            let own = self.waiting(is_short).add(job.tokens());
            job.wait(own.clone());
            load = Some(own);
        }
        state.lane(is_short).push_back(job);
        self.tell(&state);
        self.news.notify_one();
        Ok(load)
    }

    /// Fails if a bounded job of at least so many tokens would be refused, whichever lane it is for.
    pub(super) fn check_room(&self, least: usize) -> Result<(), Failure> {
        let state = self.state();
        if state.is_closed {
            return Err(Failure::Stopped);
        }
        if least <= self.options.max_batch_tokens && self.check_lane(&state, least, true).is_ok() {
            return Ok(());
        }
        self.check_lane(&state, least, false)
    }

    /// A request that finds its lane empty is taken, however long it is.
    fn check_lane(&self, state: &State, tokens: usize, is_short: bool) -> Result<(), Failure> {
        // Each lane has the limit for itself, so that no long list keeps pairs out.
        let waiting = self.waiting(is_short).tokens();
        if waiting == 0 || waiting + tokens <= self.options.max_queue_tokens {
            return Ok(());
        }
        let seconds = waiting as f64 / state.tokens_per_second.max(1.0);
        Err(Failure::Overloaded { retry_after: (seconds.ceil() as u64).clamp(1, LONGEST_WAIT) })
    }

    /// Waits for work and takes a batch of it; `None` once the queue is closed.
    pub(super) fn next_batch(&self) -> Option<Vec<Piece>> {
        let mut state = self.state();
        state.since = None;
        loop {
            if state.is_closed {
                return None;
            }
            let batch = state.take_batch(self.options.max_batch_tokens);
            self.tell(&state);
            if !batch.is_empty() {
                state.since = Some(Instant::now());
                return Some(batch);
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How long the batch in work has been so; nothing where none is.
    pub(super) fn in_work(&self) -> Option<Duration> {
        self.state().since.map(|since| since.elapsed())
    }

    /// Puts a job that is not finished behind the others of its lane.
    pub(super) fn put_back(&self, job: Job) {
        let mut state = self.state();
        match state.is_closed {
            true => job.give_up(),
            false => state.long.push_back(job),
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
        let State { short, long, .. } = &mut *state;
        short.drain(..).chain(long.drain(..)).for_each(|job| job.give_up());
        self.tell(&state);
        self.news.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self, is_short: bool) -> &Waiting {
        &self.waiting[usize::from(!is_short)]
    }

    fn tell(&self, state: &State) {
        self.metrics.queue_size.set((state.short.len() + state.long.len()) as i64);
        self.tell_tokens();
    }

    /// Brings the metrics to what waits now, after clients may have gone.
    pub(super) fn tell_tokens(&self) {
        let [short, long] = [true, false].map(|is_short| self.waiting(is_short).tokens() as i64);
        self.metrics.queue_tokens.set(short + long);
        self.metrics.short_queue_tokens.set(short);
    }
}

impl State {
    fn lane(&mut self, is_short: bool) -> &mut VecDeque<Job> {
        if is_short { &mut self.short } else { &mut self.long }
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

/// Takes from the front of a lane what fits into the budget; drops jobs that nobody waits for.
fn take(lane: &mut VecDeque<Job>, budget: usize) -> Vec<Piece> {
    let (mut batch, mut left) = (Vec::new(), budget);
    while let Some(mut job) = lane.pop_front() {
        if job.is_abandoned() {
            job.give_up();
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

//! How many tokens wait, counted as requests come, are taken and go.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Tokens that wait in a lane within the queue's limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    pub(super) fn tokens(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts the tokens of a request until they are taken, or it is given up.
    pub(super) fn add(&self, tokens: usize) -> Load {
        self.0.fetch_add(tokens, Ordering::SeqCst);
        Load { lane: self.clone(), left: Arc::new(AtomicUsize::new(tokens)) }
    }
}

/// The tokens of one request that wait; shared by the request in the queue and by who waits for it, of whom either may be
/// gone first.
#[derive(Clone, Debug)]
pub(super) struct Load {
    lane: Waiting,
    left: Arc<AtomicUsize>,
}

impl Load {
    /// Some of them wait no more.
    pub(super) fn take(&self, tokens: usize) {
        let less = |left: usize| Some(left.saturating_sub(tokens));
        // Always Ok: `less` gives something.
        let before = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).unwrap_or_else(|left| left);
        self.lane.0.fetch_sub(before.min(tokens), Ordering::SeqCst);
    }

    /// None of them waits any more.
    pub(super) fn clear(&self) {
        self.take(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_until_they_are_taken_or_given_up_and_once_only() {
        let lane = Waiting::default();
        let (first, second) = (lane.add(10), lane.add(5));
        assert_eq!(lane.tokens(), 15);
        first.take(4);
        assert_eq!(lane.tokens(), 11);
        second.clear();
        second.clone().clear();
        assert_eq!(lane.tokens(), 6);
        first.take(100);
        assert_eq!(lane.tokens(), 0);
    }
}

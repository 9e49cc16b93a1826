//! The memory that requests share: bodies in work, and answers that are not yet taken.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

/// What is counted in one: fewer bytes than that count as one.
const UNIT: usize = 1 << 10;

/// Bytes of a body or an answer that is small. Small ones have a part of the memory for themselves, so that no number of
/// large ones keeps pairs of sentences out.
pub(crate) const SMALL: usize = 64 << 10;

/// Part of the memory that is for small bodies and answers alone.
const SMALL_PART: usize = 8;

/// Seconds after which a client that found no room may try again.
const RETRY: u64 = 1;

/// Memory that can be reserved.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// Memory that is reserved until this is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    of: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Budget {
    /// So much memory.
    pub(crate) fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT).clamp(SMALL_PART, Semaphore::MAX_PERMITS);
        let small = units / SMALL_PART;
        Self { small: Arc::new(Semaphore::new(small)), large: Arc::new(Semaphore::new(units - small)) }
    }

    /// Memory for a body or an answer of so many bytes; `is_small` tells which part it is of.
    ///
    /// # Errors
    /// Where there is not so much left.
    pub(crate) fn reserve(&self, bytes: usize, is_small: bool) -> Result<Reserved, ApiError> {
        let of = if is_small { &self.small } else { &self.large };
        let mut reserved = Reserved { of: of.clone(), held: None, bytes: 0 };
        reserved.grow(bytes)?;
        Ok(reserved)
    }
}

impl Reserved {
    /// Reserves more.
    ///
    /// # Errors
    /// Where there is not so much left.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        let units = (self.bytes + bytes).div_ceil(UNIT) - self.bytes.div_ceil(UNIT);
        let full = || ApiError::Busy { retry_after: RETRY };
        let more = u32::try_from(units).map_err(|_| full())?;
        let more = self.of.clone().try_acquire_many_owned(more).map_err(|_| full())?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        self.bytes += bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_there_again_once_it_is_dropped_and_not_before() {
        let budget = Budget::new(8 << 20);
        let mut first = budget.reserve(4 << 20, false).unwrap();
        first.grow(3 << 20).unwrap();
        assert!(budget.reserve(1, false).is_err(), "7 MiB are for large ones");
        assert!(first.grow(1).is_err());
        budget.reserve(1 << 20, true).unwrap();
        drop(first);
        budget.reserve(7 << 20, false).unwrap();
    }

    #[test]
    fn bytes_that_come_one_by_one_take_no_unit_each() {
        let budget = Budget::new(8 * UNIT);
        let mut reserved = budget.reserve(0, true).unwrap();
        (0..UNIT).for_each(|_| reserved.grow(1).unwrap());
        assert!(reserved.grow(1).is_err());
    }
}

//! Where the sentences of a packed batch begin and end.

use std::ops::Range;

/// Sentences that stand one after the other.
#[derive(Clone, Debug)]
pub struct Sentences {
    cu_seqlens: Vec<usize>, // cumulated lengths, from 0
}

impl Sentences {
    /// Sentences of these lengths, one after the other.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut end = 0;
        let ends = lengths.into_iter().map(|length| {
            end += length;
            end
        });
        Self { cu_seqlens: std::iter::once(0).chain(ends).collect() }
    }

    /// The tokens of each sentence.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        self.cu_seqlens.windows(2).map(|ends| ends[0]..ends[1])
    }

    /// Tokens in all.
    pub fn tokens(&self) -> usize {
        self.cu_seqlens.last().copied().unwrap_or(0)
    }
}

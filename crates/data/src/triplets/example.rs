//! An example, and what a file holds of them.

use crate::exclusion::Exclusion;

/// An anchor with its positive, and with the hard negatives that its file gives or that are found for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triplet {
    /// The sentence that the others are compared with.
    pub anchor: String,
    /// A sentence that should be close to it.
    pub positive: String,
    /// Sentences that look alike and should be far.
    pub negatives: Vec<String>,
    /// Examples of one group are no negatives of each other; counted from 0 within a set.
    pub group: usize,
}

impl Triplet {
    /// Whether one of its sentences is excluded.
    pub fn holds(&self, exclusion: &Exclusion) -> bool {
        let sentences = [&self.anchor, &self.positive].into_iter().chain(&self.negatives);
        sentences.into_iter().any(|sentence| exclusion.holds(sentence))
    }
}

/// Two sentences that are no example, since they do not mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmatchedPair {
    /// A sentence.
    pub first: String,
    /// Another.
    pub second: String,
    /// Whether they are too alike for one to be a hard negative of the other.
    pub is_alike: bool,
}

impl UnmatchedPair {
    /// Whether one of its sentences is excluded.
    pub fn holds(&self, exclusion: &Exclusion) -> bool {
        [&self.first, &self.second].into_iter().any(|sentence| exclusion.holds(sentence))
    }
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) triplets: Vec<Triplet>,
    pub(super) unmatched: Vec<UnmatchedPair>,
}

//! What a model could not take of texts.

use std::{collections::BTreeSet, fmt, ops::AddAssign};

use crate::{
    sequence::TokenPair,
    tokenizer::{Tokenized, Tokenizer},
};

/// How many texts a model did not take as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextLosses {
    /// Texts with more tokens than the model takes, which were cut.
    pub truncated: usize,
    /// Texts without a token that the model knows.
    pub unknown: usize,
    /// Tokens that the model takes.
    pub max_seq_length: usize,
}

impl TextLosses {
    /// None of a tokenizer's.
    pub fn none(tokenizer: &Tokenizer) -> Self {
        Self { max_seq_length: tokenizer.max_seq_length(), ..Self::default() }
    }

    /// Of texts that `tokenizer` tokenized.
    pub fn of(tokenizer: &Tokenizer, texts: &[Tokenized]) -> Self {
        let (mut losses, special) = (Self::none(tokenizer), tokenizer.special_token_ids());
        texts.iter().for_each(|text| losses.add(&text.ids, text.is_truncated, 1, &special));
        losses
    }

    /// Of pairs that the tokenizer's [pair tokenizer](crate::PairTokenizer) joined, each of which counts as one text.
    pub fn of_pairs(tokenizer: &Tokenizer, pairs: &[TokenPair]) -> Self {
        let (mut losses, special) = (Self::none(tokenizer), tokenizer.special_token_ids());
        pairs.iter().for_each(|pair| losses.add(&pair.ids, pair.is_truncated, 1, &special));
        losses
    }

    /// Adds a text that is there so many times.
    pub(crate) fn add(&mut self, ids: &[i64], is_truncated: bool, copies: usize, special: &BTreeSet<i64>) {
        self.truncated += if is_truncated { copies } else { 0 };
        self.unknown += if ids.iter().all(|id| special.contains(id)) { copies } else { 0 };
    }

    /// What to append to a line: nothing where nothing was lost.
    pub fn appended(&self) -> String {
        if self.is_none() { String::new() } else { format!("; {self}") }
    }

    /// Whether every text was taken as it is.
    pub fn is_none(&self) -> bool {
        self.truncated == 0 && self.unknown == 0
    }
}

impl AddAssign for TextLosses {
    fn add_assign(&mut self, other: Self) {
        self.truncated += other.truncated;
        self.unknown += other.unknown;
        self.max_seq_length = self.max_seq_length.max(other.max_seq_length); // of a sum that began with nothing
    }
}

/// What was lost in words; nothing where nothing was.
impl fmt::Display for TextLosses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { truncated, unknown, max_seq_length } = self;
        match truncated {
            0 => {}
            1 => write!(f, "1 text was cut at {max_seq_length} tokens")?,
            _ => write!(f, "{truncated} texts were cut at {max_seq_length} tokens")?,
        }
        if *truncated > 0 && *unknown > 0 {
            write!(f, "; ")?;
        }
        match unknown {
            0 => Ok(()),
            1 => write!(f, "1 text holds nothing but unknown tokens"),
            _ => write!(f, "{unknown} texts hold nothing but unknown tokens"),
        }
    }
}

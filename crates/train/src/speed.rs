//! What a step takes in, and how fast.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a step took in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    pub(crate) count: usize,
    pub(crate) unit: Unit,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) enum Unit {
    #[default]
    Pairs,
    Sentences,
    Tokens,
}

impl Unit {
    /// So many in a second.
    pub(crate) fn speed(self, value: f64) -> Speed {
        match self {
            Unit::Pairs => Speed::Pairs(value),
            Unit::Sentences => Speed::Sentences(value),
            Unit::Tokens => Speed::Tokens(value),
        }
    }
}

/// Speed of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Speed {
    /// Pairs, or examples of contrastive training.
    #[serde(rename = "pairs_per_second")]
    Pairs(f64),
    /// Sentences of distillation.
    #[serde(rename = "sentences_per_second")]
    Sentences(f64),
    /// Tokens of a text.
    #[serde(rename = "tokens_per_second")]
    Tokens(f64),
}

impl Speed {
    /// Its name in logs, and its value.
    pub(crate) fn named(self) -> (&'static str, f64) {
        match self {
            Speed::Pairs(speed) => ("pairs_per_second", speed),
            Speed::Sentences(speed) => ("sentences_per_second", speed),
            Speed::Tokens(speed) => ("tokens_per_second", speed),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Speed::Pairs(speed) => write!(f, "{speed:.1} pairs/s"),
            Speed::Sentences(speed) => write!(f, "{speed:.1} sentences/s"),
            Speed::Tokens(speed) => write!(f, "{speed:.0} tokens/s"),
        }
    }
}

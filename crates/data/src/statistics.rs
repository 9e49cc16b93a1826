//! Figures that describe a dataset.

use std::collections::HashSet;

use polars::prelude::{NamedFrom, QuantileMethod, Series};
use serde::Serialize;

use crate::histogram::Histogram;
use crate::pair::SentencePair;

/// The figures of one dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// The number of pairs.
    pub rows: usize,
    /// The pairs that repeat an earlier one: the same two sentences in either order, whatever the score.
    pub duplicate_pairs: usize,
    /// The lengths of all sentences, both sides together.
    pub lengths: Lengths,
    /// The figures of the scores; `None` where the pairs have none.
    pub scores: Option<ScoreStatistics>,
}

/// Sentence lengths in characters (Unicode scalar values).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lengths {
    /// The arithmetic mean.
    pub mean: f64,
    /// The median; between the two middle lengths where their number is even.
    pub median: f64,
    /// The shortest length that at least 95 % of the sentences do not exceed.
    pub p95: usize,
    /// The longest sentence.
    pub max: usize,
}

/// The distribution of the scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreStatistics {
    /// The arithmetic mean.
    pub mean: f64,
    /// The standard deviation of the population (divided by n).
    pub std: f64,
    /// The counts per bin.
    pub histogram: Histogram,
}

impl Statistics {
    /// Describes the pairs.
    pub fn of(pairs: &[SentencePair]) -> Statistics {
        let distinct: HashSet<_> = pairs.iter().map(SentencePair::unordered).collect();
        let scores: Option<Vec<f64>> = pairs.iter().map(|pair| pair.score).collect();
        Statistics {
            rows: pairs.len(),
            duplicate_pairs: pairs.len() - distinct.len(),
            lengths: Lengths::of(pairs),
            scores: scores.filter(|scores| !scores.is_empty()).map(|scores| ScoreStatistics::of(&scores)),
        }
    }
}

impl Lengths {
    fn of(pairs: &[SentencePair]) -> Lengths {
        let sentences = pairs.iter().flat_map(|pair| [&pair.sentence1, &pair.sentence2]);
        let lengths: Vec<u64> = sentences.map(|sentence| sentence.chars().count() as u64).collect();
        let max = lengths.iter().copied().max().unwrap_or(0) as usize;
        let column = Series::new("characters".into(), lengths);
        // The shortest length that at least so many do not exceed.
        let p95 = column.quantile_reduce(0.95, QuantileMethod::Equiprobable);
        let p95 = p95.ok().and_then(|scalar| scalar.value().extract::<f64>()).unwrap_or(0.0) as usize;
        Lengths { mean: column.mean().unwrap_or(0.0), median: column.median().unwrap_or(0.0), p95, max }
    }
}

impl ScoreStatistics {
    fn of(scores: &[f64]) -> ScoreStatistics {
        let column = Series::new("score".into(), scores);
        let (mean, std) = (column.mean().unwrap_or(0.0), column.std(0).unwrap_or(0.0));
        ScoreStatistics { mean, std, histogram: Histogram::of(scores.iter().copied()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(sentence1: &str, sentence2: &str, score: Option<f64>) -> SentencePair {
        SentencePair { sentence1: sentence1.into(), sentence2: sentence2.into(), score }
    }

    #[test]
    fn a_repeated_pair_counts_in_either_order_and_with_any_score() {
        let pairs = [
            pair("가", "나", Some(1.0)),
            pair("나", "가", Some(4.0)),
            pair("가", "나", Some(1.0)),
            pair("가", "가", Some(5.0)),
        ];
        assert_eq!(Statistics::of(&pairs).duplicate_pairs, 2);
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        // import numpy as np; x = list(range(1, 21)); np.mean(x), np.median(x),
        // np.percentile(x, 95, method="inverted_cdf"), max(x)  # 10.5, 10.5, 19, 20
        let pairs: Vec<_> = (1..=10).map(|n| pair(&"한".repeat(n), &"글".repeat(n + 10), None)).collect();
        let lengths = Statistics::of(&pairs).lengths;
        assert_eq!(lengths, Lengths { mean: 10.5, median: 10.5, p95: 19, max: 20 });
    }

    #[test]
    fn scores_are_described_where_every_pair_has_one() {
        // np.mean([0, 1, 5]), np.std([0, 1, 5])  # 2.0, 2.160246899469287
        let pairs = [pair("a", "b", Some(0.0)), pair("c", "d", Some(1.0)), pair("e", "f", Some(5.0))];
        let scores = Statistics::of(&pairs).scores.unwrap();
        assert_eq!(scores.mean, 2.0);
        assert!((scores.std - 2.160246899469287).abs() < 1e-12);
        assert_eq!(scores.histogram.counts, [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(Statistics::of(&[pair("a", "b", None)]).scores, None);
    }
}

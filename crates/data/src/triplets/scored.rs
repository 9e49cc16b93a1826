//! Scored pairs: those with a high score mean the same.

use std::collections::HashMap;

use super::example::{Parsed, Triplet, UnmatchedPair};
use crate::{dataset::Dataset, error::Error};

/// Score from which on two sentences mean the same, as KLUE-STS's binary label has it; the threshold of F1 too.
pub const POSITIVE_SCORE: f64 = 3.0;

/// Score from which on they are too alike for one to be a hard negative of the other.
const ALIKE_SCORE: f64 = 2.0;

/// One example for each pair that means the same; those of one first sentence are a group.
pub(super) fn read(dataset: &Dataset) -> Result<Parsed, Error> {
    let (mut groups, mut triplets, mut unmatched) = (HashMap::<&str, usize>::new(), Vec::new(), Vec::new());
    for (pair, score) in dataset.pairs.iter().zip(dataset.scores()?) {
        let (first, second) = (pair.sentence1.clone(), pair.sentence2.clone());
        if score >= POSITIVE_SCORE {
            let next = groups.len();
            let group = *groups.entry(&pair.sentence1).or_insert(next);
            triplets.push(Triplet { anchor: first, positive: second, negatives: Vec::new(), group });
        } else {
            unmatched.push(UnmatchedPair { first, second, is_alike: score >= ALIKE_SCORE });
        }
    }
    Ok(Parsed { triplets, unmatched })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::SentencePair;

    #[test]
    fn a_pair_is_an_example_from_three_on_and_alike_from_two_on() {
        let pair = |first: &str, second: &str, score| SentencePair {
            sentence1: first.to_owned(),
            sentence2: second.to_owned(),
            score: Some(score),
        };
        let pairs = vec![
            pair("가", "나", 3.0),
            pair("가", "다", 2.9),
            pair("라", "마", 5.0),
            pair("가", "바", 4.0),
            pair("사", "아", 1.9),
        ];
        let Parsed { triplets, unmatched } = read(&Dataset::made("", pairs)).unwrap();
        let triplets: Vec<_> =
            triplets.iter().map(|triplet| (&*triplet.anchor, &*triplet.positive, triplet.group)).collect();
        assert_eq!(triplets, [("가", "나", 0), ("라", "마", 1), ("가", "바", 0)]);
        let unmatched: Vec<_> = unmatched.iter().map(|pair| (&*pair.first, &*pair.second, pair.is_alike)).collect();
        assert_eq!(unmatched, [("가", "다", true), ("사", "아", false)]);
    }
}

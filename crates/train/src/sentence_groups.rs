//! Which sentences of contrastive training are known to mean the same, over all of its sets.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use data::{Triplet, canonical};

use crate::datasets::ExampleSet;

/// The numbers of the groups in which a sentence stands, in ascending order.
pub(crate) type Groups = Arc<[i64]>;

/// Of an example.
pub(crate) struct ExampleGroups {
    pub(crate) anchor: Groups,
    pub(crate) positive: Groups,
    pub(crate) negatives: Vec<Groups>,
}

/// The groups in which each sentence of some sets is an anchor or a positive; a group is told by its number from those of
/// all sets. Two sentences that share a group are known to mean the same.
pub(crate) struct SentenceGroups {
    of: HashMap<String, Groups>, // by the canonical sentence
    none: Groups,
}

impl SentenceGroups {
    pub(crate) fn of(sets: &[ExampleSet]) -> Self {
        let (mut of, mut first) = (HashMap::<String, Vec<i64>>::new(), 0);
        for ExampleSet { triplets, .. } in sets {
            for (_, triplet) in triplets {
                for sentence in [&triplet.anchor, &triplet.positive] {
                    of.entry(canonical(sentence)).or_default().push(first + triplet.group as i64);
                }
            }
            first += triplets.iter().map(|(_, triplet)| triplet.group as i64 + 1).max().unwrap_or(0);
        }
        let distinct = |(sentence, mut groups): (String, Vec<i64>)| {
            groups.sort_unstable();
            groups.dedup();
            (sentence, groups.into())
        };
        Self { of: of.into_iter().map(distinct).collect(), none: Arc::new([]) }
    }

    fn of_sentence(&self, sentence: &str) -> Groups {
        self.of.get(&canonical(sentence)).unwrap_or(&self.none).clone()
    }

    pub(crate) fn of_example(&self, triplet: &Triplet) -> ExampleGroups {
        ExampleGroups {
            anchor: self.of_sentence(&triplet.anchor),
            positive: self.of_sentence(&triplet.positive),
            negatives: triplet.negatives.iter().map(|negative| self.of_sentence(negative)).collect(),
        }
    }

    /// Whether any anchor has a wrong answer: a positive or a hard negative that shares no group with it.
    pub(crate) fn have_wrong_answer(&self, sets: &[ExampleSet]) -> bool {
        let triplets = || sets.iter().flat_map(|set| &set.triplets).map(|(_, triplet)| triplet);
        let candidates = || triplets().flat_map(|triplet| [&triplet.positive].into_iter().chain(&triplet.negatives));
        let distinct = |groups: &mut dyn Iterator<Item = Groups>| groups.collect::<HashSet<_>>();
        let candidates = distinct(&mut candidates().map(|sentence| self.of_sentence(sentence)));
        let anchors = distinct(&mut triplets().map(|triplet| self.of_sentence(&triplet.anchor)));
        anchors.iter().any(|anchor| candidates.iter().any(|candidate| !share_group(anchor, candidate)))
    }
}

/// Whether two lists of groups, each in ascending order, have one in common.
pub(crate) fn share_group(mut first: &[i64], mut second: &[i64]) -> bool {
    while let ([one, rest @ ..], [other, others @ ..]) = (first, second) {
        if one == other {
            return true;
        }
        if one < other {
            first = rest;
        } else {
            second = others;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(triplets: &[(&str, &str, &[&str], usize)]) -> ExampleSet {
        let triplet = |&(anchor, positive, negatives, group): &(&str, &str, &[&str], usize)| {
            let negatives = negatives.iter().map(|&negative| negative.to_owned()).collect();
            (0, Triplet { anchor: anchor.to_owned(), positive: positive.to_owned(), negatives, group })
        };
        ExampleSet { name: String::new(), triplets: triplets.iter().map(triplet).collect(), unmatched: Vec::new() }
    }

    #[test]
    fn a_sentence_has_the_groups_of_every_set_in_which_it_stands() {
        let sets = [set(&[("a", "b", &["e f", "x"], 0), ("c", "d", &["a."], 1)]), set(&[("e  f", "b", &["b"], 0)])];
        let groups = SentenceGroups::of(&sets);
        let of = |set: usize, place: usize| groups.of_example(&sets[set].triplets[place].1);
        let ExampleGroups { anchor, positive, negatives } = of(0, 0);
        assert_eq!((&*anchor, &*positive), (&[0][..], &[0, 2][..]));
        assert_eq!(negatives.iter().map(|groups| groups.to_vec()).collect::<Vec<_>>(), [vec![2], vec![]]);
        assert_eq!(&*of(0, 1).negatives[0], [0]); // whatever its final punctuation
        let ExampleGroups { anchor, positive, negatives } = of(1, 0);
        assert_eq!((&*anchor, &*positive, &*negatives[0]), (&[2][..], &[0, 2][..], &[0, 2][..]));
    }

    #[test]
    fn lists_of_groups_share_one_or_none() {
        assert!(share_group(&[1, 5, 9], &[2, 9]) && share_group(&[3], &[3]));
        assert!(!share_group(&[1, 5, 9], &[2, 6, 10]) && !share_group(&[], &[1]));
    }

    #[test]
    fn examples_of_one_group_have_no_wrong_answer_but_a_hard_negative() {
        let of = |triplets| {
            let sets = [set(triplets)];
            SentenceGroups::of(&sets).have_wrong_answer(&sets)
        };
        assert!(!of(&[("a", "b", &[], 0)]) && !of(&[("a", "b", &[], 0), ("a", "c", &[], 0)]));
        assert!(!of(&[("a", "b", &["a"], 0)]) && of(&[("a", "b", &["c"], 0)]));
        assert!(of(&[("a", "b", &[], 0), ("c", "d", &[], 1)]));
        assert!(!of(&[("a", "b", &[], 0), ("b", "a", &[], 1)])); // each is the other's positive
    }
}

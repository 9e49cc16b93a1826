//! A seeded split into train and dev that keeps the distribution of scores.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::Error;
use crate::histogram::Histogram;
use crate::pair::SentencePair;

/// The rows of the two parts; together they hold every row once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Row indices of the larger part, ascending.
    pub train: Vec<usize>,
    /// Row indices of the part split off, ascending.
    pub dev: Vec<usize>,
}

/// Splits off `fraction` of the pairs, the same ones on every machine for one `seed`.
///
/// The strata are the ten score bins of width 0.5; one with fewer than `1 / fraction` rows is joined to a neighbour.
/// Of each stratum the dev part gets `fraction` of its rows, rounded so that all of them together make
/// `fraction` of the whole. The copies of a repeated pair (the same two sentences in either order, whatever their
/// scores) stay on one side. Only where such copies are so many that too few single rows remain can a stratum miss
/// its share.
///
/// # Errors
/// Where `fraction` is not between 0 and 1, a pair has no score, or one part would be empty.
pub fn stratified_split(pairs: &[SentencePair], fraction: f64, seed: u64) -> Result<Split, Error> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::Fraction { fraction });
    }
    let strata = strata(pairs, fraction)?;
    let mut draw = Draw::new(&strata, fraction);
    let (mut copies, mut singles) = groups(pairs);
    // ChaCha8 and the shuffle of slices give the same order everywhere, which `StdRng` does not promise.
    let mut rng = ChaCha8Rng::seed_from_u64(seed);

    // Copies first, while every stratum still has room for several rows at once.
    copies.shuffle(&mut rng);
    let share = (copies.len() as f64 * fraction).round() as usize;
    let (first, rest) = copies.split_at(share);
    first.iter().for_each(|group| draw.take(group, Room::Target));
    singles.shuffle(&mut rng);
    singles.iter().for_each(|&row| draw.take(&[row], Room::Target));
    // Only where strata are made of little but copies is anything still short here.
    rest.iter().for_each(|group| draw.take(group, Room::Target));
    singles.iter().for_each(|&row| draw.take(&[row], Room::OneRowMore));
    copies.iter().for_each(|group| draw.take(group, Room::OneRowMore));

    let (dev, train): (Vec<usize>, Vec<usize>) = (0..pairs.len()).partition(|&row| draw.taken[row]);
    if dev.is_empty() || train.is_empty() {
        return Err(Error::EmptySplit { fraction, rows: pairs.len() });
    }
    Ok(Split { train, dev })
}

/// The stratum of each row, numbered from 0 without gaps.
fn strata(pairs: &[SentencePair], fraction: f64) -> Result<Vec<usize>, Error> {
    let scores: Vec<f64> =
        (0..pairs.len()).map(|row| pairs[row].score.ok_or(Error::SplitUnlabelled { row })).collect::<Result<_, _>>()?;
    let smallest = 1.0 / fraction;
    let mut stratum_of_bin = [0; Histogram::BINS];
    let (mut stratum, mut rows) = (0, 0);
    for (bin, count) in Histogram::of(scores.iter().copied()).counts.into_iter().enumerate() {
        if rows as f64 >= smallest {
            (stratum, rows) = (stratum + 1, 0);
        }
        stratum_of_bin[bin] = stratum;
        rows += count;
    }
    // What is left above the last full stratum joins it.
    if (rows as f64) < smallest && stratum > 0 {
        stratum_of_bin.iter_mut().filter(|of| **of == stratum).for_each(|of| *of -= 1);
    }
    Ok(scores.into_iter().map(|score| stratum_of_bin[Histogram::bin(score)]).collect())
}

/// How many of each stratum's `sizes` rows go to dev: the method of largest remainders, so that each is within one
/// row of its share and all together make the rounded whole.
fn targets(sizes: &[usize], fraction: f64) -> Vec<usize> {
    let shares: Vec<f64> = sizes.iter().map(|&size| size as f64 * fraction).collect();
    let mut targets: Vec<usize> = shares.iter().map(|share| share.floor() as usize).collect();
    let whole = (sizes.iter().sum::<usize>() as f64 * fraction).round() as usize;
    let missing = whole.saturating_sub(targets.iter().sum());
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|&a, &b| shares[b].fract().total_cmp(&shares[a].fract())); // Stable: ties go to lower scores.
    order.into_iter().take(missing).for_each(|stratum| targets[stratum] += 1);
    targets
}

/// The rows of each repeated pair, and the rows that occur once; both in the order of the file.
fn groups(pairs: &[SentencePair]) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut place_of: HashMap<(String, String), usize> = HashMap::with_capacity(pairs.len());
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (row, pair) in pairs.iter().enumerate() {
        let place = *place_of.entry(pair.unordered()).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(row);
    }
    let (copies, singles): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| group.len() > 1);
    (copies, singles.into_iter().flatten().collect())
}

/// How many rows a stratum may give to dev.
#[derive(Clone, Copy)]
enum Room {
    /// Its target.
    Target,
    /// As many as are still within one row of its share.
    OneRowMore,
}

/// The dev part while it is drawn.
struct Draw<'a> {
    strata: &'a [usize],
    fraction: f64,
    sizes: Vec<usize>,
    targets: Vec<usize>,
    /// The rows that each stratum has given.
    given: Vec<usize>,
    taken: Vec<bool>,
}

impl Draw<'_> {
    fn new(strata: &[usize], fraction: f64) -> Draw<'_> {
        let mut sizes = vec![0; strata.iter().max().map_or(0, |last| last + 1)];
        strata.iter().for_each(|&stratum| sizes[stratum] += 1);
        let (targets, given) = (targets(&sizes, fraction), vec![0; sizes.len()]);
        Draw { strata, fraction, sizes, targets, given, taken: vec![false; strata.len()] }
    }

    /// Takes all rows of a group, or none where they are too many for dev or for one of their strata.
    fn take(&mut self, group: &[usize], room: Room) {
        let mut given = self.given.clone();
        group.iter().for_each(|&row| given[self.strata[row]] += 1);
        let limit = |stratum: usize| match room {
            Room::Target => self.targets[stratum],
            Room::OneRowMore => (self.sizes[stratum] as f64 * self.fraction + 1.0).floor() as usize,
        };
        let fits = (0..given.len()).all(|stratum| given[stratum] <= limit(stratum).max(self.given[stratum]));
        let whole: usize = self.targets.iter().sum();
        if fits && given.iter().sum::<usize>() <= whole && !group.iter().any(|&row| self.taken[row]) {
            self.given = given;
            group.iter().for_each(|&row| self.taken[row] = true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_within_one_row_and_sum_to_the_rounded_whole() {
        for fraction in [0.01, 0.1, 0.25, 0.29, 0.5, 0.7, 0.999] {
            for sizes in [vec![3534, 816, 542, 364, 396, 414, 1069, 1783, 2147, 603], vec![11, 12, 13], vec![100]] {
                let targets = targets(&sizes, fraction);
                let whole = (sizes.iter().sum::<usize>() as f64 * fraction).round() as usize;
                assert_eq!(targets.iter().sum::<usize>(), whole, "{sizes:?} {fraction}");
                for (size, target) in sizes.iter().zip(&targets) {
                    assert!((*size as f64 * fraction - *target as f64).abs() <= 1.0, "{sizes:?} {fraction}");
                }
            }
        }
    }

    fn stratum_of_each_bin(counts: [usize; 10], fraction: f64) -> Vec<Option<usize>> {
        let scores = (0..10).flat_map(|bin| std::iter::repeat_n(bin as f64 * 0.5, counts[bin]));
        let pair = |score| SentencePair { sentence1: "a".into(), sentence2: "b".into(), score: Some(score) };
        let pairs: Vec<_> = scores.map(pair).collect();
        let strata = strata(&pairs, fraction).unwrap();
        let first_row = |bin: usize| counts[..bin].iter().sum::<usize>();
        (0..10).map(|bin| (counts[bin] > 0).then(|| strata[first_row(bin)])).collect()
    }

    #[test]
    fn a_small_stratum_joins_a_neighbour() {
        let joined = stratum_of_each_bin([10, 3, 9, 10, 0, 0, 10, 10, 10, 4], 0.1);
        let expected = [Some(0), Some(1), Some(1), Some(2), None, None, Some(3), Some(4), Some(5), Some(5)];
        assert_eq!(joined, expected);
        assert_eq!(stratum_of_each_bin([1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 0.1)[..9], [Some(0); 9]);
        assert_eq!(stratum_of_each_bin([10, 0, 0, 0, 0, 0, 0, 0, 0, 9], 0.1)[9], Some(0));
    }

    #[test]
    fn copies_are_grouped_in_either_order() {
        let pair = |a: &str, b: &str| SentencePair { sentence1: a.into(), sentence2: b.into(), score: None };
        let pairs = [pair("a", "b"), pair("c", "d"), pair("b", "a"), pair("a", "c")];
        assert_eq!(groups(&pairs), (vec![vec![0, 2]], vec![1, 3]));
    }
}

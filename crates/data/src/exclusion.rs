//! Sentences that must not be trained on: those of test sets.

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, Match};
use ground::hex;
use sha2::{Digest, Sha256};

use crate::{
    canonical::{Words, canonical},
    data_dir::DataDir,
    dataset::Dataset,
    error::Error,
    pair::SentencePair,
    splitting,
};

/// Letters of a sentence, white space left out, that is looked for within paragraphs: shorter ones, such as «네.» or «가능한 한
/// 빨리», stand in texts that have nothing to do with a test set.
const SHORTEST_WITHIN: usize = 8;

/// The sentences of some datasets. A text holds one of them if it is the same, as [`canonical`] compares them; or if the text
/// is a paragraph, of several sentences, and one of at least eight letters stands in it as whole words.
#[derive(Debug)]
pub struct Exclusion {
    sentences: HashSet<String>, // canonical
    search: AhoCorasick,        // for those that are looked for in paragraphs
}

impl Exclusion {
    /// Takes every sentence of the datasets that `specs` name.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn load(specs: &[String], dir: &DataDir) -> Result<Exclusion, Error> {
        Self::of(&specs.iter().map(|spec| Dataset::load(spec, dir)).collect::<Result<Vec<_>, _>>()?)
    }

    /// Takes every sentence of some datasets.
    ///
    /// # Errors
    /// Where they are more than can be searched for at once: some gigabytes.
    pub fn of(datasets: &[Dataset]) -> Result<Exclusion, Error> {
        let pairs = datasets.iter().flat_map(|dataset| &dataset.pairs);
        let sentences: HashSet<String> =
            pairs.flat_map(|pair| [canonical(&pair.sentence1), canonical(&pair.sentence2)]).collect();
        let within = sorted(&sentences).into_iter().filter(|sentence| sentence.chars().count() >= SHORTEST_WITHIN);
        let search = AhoCorasick::new(within).map_err(|error| {
            let specs: Vec<&str> = datasets.iter().map(|dataset| dataset.name.as_str()).collect();
            Error::Exclusion { specs: specs.join(", "), reason: error.to_string() }
        })?;
        Ok(Exclusion { sentences, search })
    }

    /// Digest of the sentences.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for sentence in sorted(&self.sentences) {
            hash.update((sentence.len() as u64).to_le_bytes());
            hash.update(sentence);
        }
        hex(hash)
    }

    /// How many sentences are excluded.
    pub fn len(&self) -> usize {
        self.sentences.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.sentences.is_empty()
    }

    /// Whether a text holds one of them.
    pub fn holds(&self, text: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        self.sentences.contains(&canonical(text)) || (splitting::sentences(text).len() > 1 && self.is_within(text))
    }

    fn is_within(&self, paragraph: &str) -> bool {
        let Words { text, bounds } = Words::of(paragraph);
        let is_whole = |found: Match| bounds[found.start()] && bounds[found.end()];
        self.search.find_overlapping_iter(&text).any(is_whole)
    }
}

fn sorted(sentences: &HashSet<String>) -> Vec<&String> {
    let mut sorted: Vec<&String> = sentences.iter().collect();
    sorted.sort();
    sorted
}

impl SentencePair {
    /// Whether one of its sentences is excluded.
    pub fn holds(&self, exclusion: &Exclusion) -> bool {
        exclusion.holds(&self.sentence1) || exclusion.holds(&self.sentence2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sentences: [&str; 2]) -> Exclusion {
        let [sentence1, sentence2] = sentences.map(str::to_owned);
        Exclusion::of(&[Dataset::made("test", vec![SentencePair { sentence1, sentence2, score: None }])]).unwrap()
    }

    #[test]
    fn a_sentence_is_held_by_its_equal_and_by_a_paragraph_and_by_no_longer_sentence() {
        let exclusion = of(["남자가  기타를 치고 있다.", "눈이 온다."]);
        assert_eq!(exclusion.len(), 2);
        assert!(exclusion.holds(" 남자가 기타를 치고 있다") && exclusion.holds("남자가 기타를 치고있다!"));
        assert!(exclusion.holds("비가 온다.  남자가 기타를\n치고 있다. 그래서 집에 있다."));
        assert!(exclusion.holds("날이 갰다. 어제는 남자가 기타를 치고 있다"));
        // Another sentence, though it has all of its letters.
        assert!(!exclusion.holds("두 남자가 기타를 치고 있다."));
        // Within a word, in a paragraph.
        assert!(!exclusion.holds("날이 갰다. 남자가 기타를 치고 있다고 한다."));
        assert!(!exclusion.holds("날이 갰다. 한남자가 기타를 치고 있다."));
        assert!(!of(["", ""]).holds("날이 갰다. 비가 온다.") && !Exclusion::of(&[]).unwrap().holds("비가 온다."));
    }

    #[test]
    fn a_short_sentence_is_held_by_its_equal_alone() {
        let exclusion = of(["다", "눈이 온다."]);
        assert!(exclusion.holds("눈이 온다") && exclusion.holds("다."));
        assert!(!exclusion.holds("오늘은 춥다. 눈이 온다. 다 하얗다."));
    }
}

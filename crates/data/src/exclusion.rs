//! Sentences that must not be trained on: those of test sets.

use std::collections::HashSet;

use aho_corasick::AhoCorasick;
use ground::hex;
use sha2::{Digest, Sha256};

use crate::{data_dir::DataDir, dataset::Dataset, error::Error, pair::SentencePair};

/// The sentences of some datasets, compared without regard to white space at their ends and to how much of it is within.
#[derive(Debug)]
pub struct Exclusion {
    sentences: HashSet<String>,
    search: AhoCorasick,
}

impl Exclusion {
    /// Takes every sentence of the datasets that `specs` name.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn load(specs: &[String], dir: &DataDir) -> Result<Exclusion, Error> {
        let mut sentences = HashSet::new();
        for spec in specs {
            let pairs = Dataset::load(spec, dir)?.pairs;
            sentences.extend(pairs.iter().flat_map(|pair| [plain(&pair.sentence1), plain(&pair.sentence2)]));
        }
        Self::of_plain(sentences, specs)
    }

    /// Takes every sentence of some datasets.
    ///
    /// # Errors
    /// Where they are more than can be searched for at once: some gigabytes.
    pub fn of(datasets: &[Dataset]) -> Result<Exclusion, Error> {
        let pairs = datasets.iter().flat_map(|dataset| &dataset.pairs);
        let sentences = pairs.flat_map(|pair| [plain(&pair.sentence1), plain(&pair.sentence2)]).collect();
        Self::of_plain(sentences, &datasets.iter().map(|dataset| dataset.name.clone()).collect::<Vec<_>>())
    }

    fn of_plain(sentences: HashSet<String>, names: &[String]) -> Result<Exclusion, Error> {
        let search = AhoCorasick::new(sorted(&sentences))
            .map_err(|error| Error::Exclusion { specs: names.join(", "), reason: error.to_string() })?;
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

    /// Whether a sentence is one of them.
    pub fn is_sentence(&self, sentence: &str) -> bool {
        self.sentences.contains(&plain(sentence))
    }

    /// Whether one of them stands anywhere in a text.
    pub fn is_within(&self, text: &str) -> bool {
        !self.is_empty() && self.search.is_match(&plain(text))
    }
}

fn sorted(sentences: &HashSet<String>) -> Vec<&String> {
    let mut sorted: Vec<&String> = sentences.iter().collect();
    sorted.sort();
    sorted
}

/// A text with its white space brought to single spaces, by which sentences are told apart.
pub fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl SentencePair {
    /// Whether one of its sentences is excluded.
    pub fn holds(&self, exclusion: &Exclusion) -> bool {
        exclusion.is_sentence(&self.sentence1) || exclusion.is_sentence(&self.sentence2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_sentence_is_found_alone_and_within_a_text() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("test.csv"), "sentence1,sentence2,score\n비가  온다.,눈이 온다.,1\n").unwrap();
        let dir = DataDir::new(Some(folder.path().to_owned()));
        let exclusion = Exclusion::load(&["data:test.csv".to_owned()], &dir).unwrap();
        assert_eq!(exclusion.len(), 2);
        assert!(exclusion.is_sentence(" 비가 온다.") && !exclusion.is_sentence("비가 온다"));
        assert!(exclusion.is_within("오늘은 비가\n온다. 그래서 집에 있다."));
        assert!(!exclusion.is_within("비가 왔다. 눈이 왔다."));
        assert!(!Exclusion::load(&[], &dir).unwrap().is_within("비가 온다."));
    }
}

//! Neighbouring sentences of a text: what stands side by side is about the same.

use super::example::Triplet;
use crate::{error::Error, splitting, text::TextFile};

/// Characters of a sentence that says something.
const LENGTHS: std::ops::RangeInclusive<usize> = 10..=200;

/// One pair of each of the first `count` paragraphs that have two usable sentences side by side.
pub(super) fn read(file: &TextFile, count: usize) -> Result<Vec<Triplet>, Error> {
    let mut triplets = Vec::new();
    for (number, paragraph) in file.paragraphs()?.enumerate() {
        if triplets.len() == count {
            break;
        }
        let (paragraph, group) = (paragraph?, triplets.len());
        triplets.extend(pair(&paragraph, number).map(|(anchor, positive)| Triplet {
            anchor: anchor.to_owned(),
            positive: positive.to_owned(),
            negatives: Vec::new(),
            group,
        }));
    }
    Ok(triplets)
}

/// A pair of a paragraph: from paragraph to paragraph another, as its number has it.
fn pair(paragraph: &str, number: usize) -> Option<(&str, &str)> {
    let sentences = splitting::sentences(paragraph);
    let is_usable = |sentence: &str| LENGTHS.contains(&sentence.chars().count());
    let pairs: Vec<(&str, &str)> = sentences
        .windows(2)
        .map(|two| (two[0], two[1]))
        .filter(|(a, b)| is_usable(a) && is_usable(b) && a != b)
        .collect();
    pairs.get(number % pairs.len().max(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_gives_one_pair_of_neighbours_of_a_sentences_length() {
        let [a, b, c] = ["첫째 문장은 이만큼 길다.", "둘째 문장도 이만큼 길다.", "셋째 문장도 이만큼 길다."];
        let text = [a, b, c].join(" ");
        assert_eq!(pair(&text, 0), Some((a, b)));
        assert_eq!(pair(&text, 1), Some((b, c)));
        assert_eq!(pair(&format!("{a} 짧다."), 0), None);
        assert_eq!(pair("", 0), None);
    }
}

//! Groups of sentences that mean the same, as paraKQC has them: lines of `group<TAB>sentence`, without a header.

use std::collections::HashMap;

use super::example::{Parsed, Triplet};
use crate::error::Problem;

/// All sentences.
pub(super) fn sentences(text: &str) -> Result<Vec<String>, (usize, Problem)> {
    Ok(lines(text)?.into_iter().map(|(_, sentence)| sentence.to_owned()).collect())
}

/// Name of the group and sentence of each line.
fn lines(text: &str) -> Result<Vec<(&str, &str)>, (usize, Problem)> {
    let lines = text.trim_start_matches('\u{FEFF}').lines().enumerate();
    let parts = lines.filter(|(_, line)| !line.trim().is_empty()).map(|(index, line)| {
        let parts =
            line.split_once('\t').filter(|(_, sentence)| !sentence.trim().is_empty() && !sentence.contains('\t'));
        parts.ok_or((index + 1, Problem::GroupLine))
    });
    parts.collect()
}

/// One example for each sentence of a group of two or more: with the group's next sentence, the last with the first.
pub(super) fn parse(text: &str) -> Result<Parsed, (usize, Problem)> {
    let (mut places, mut groups) = (HashMap::<&str, usize>::new(), Vec::<Vec<&str>>::new());
    for (name, sentence) in lines(text)? {
        let group = *places.entry(name).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(sentence);
    }
    let triplets =
        groups.iter().enumerate().filter(|(_, sentences)| sentences.len() > 1).flat_map(|(group, sentences)| {
            let next = sentences.iter().cycle().skip(1);
            // Two sentences make one pair, not the same twice.
            let count = if sentences.len() == 2 { 1 } else { sentences.len() };
            sentences.iter().zip(next).take(count).map(move |(&anchor, &positive)| Triplet {
                anchor: anchor.to_owned(),
                positive: positive.to_owned(),
                negatives: Vec::new(),
                group,
            })
        });
    Ok(Parsed { triplets: triplets.collect(), ..Parsed::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_of_a_group_stand_in_a_ring() {
        let triplets = parse("3\t가\n3\t나\n4\t혼자\n3\t다\n5\t라\n5\t마\n").unwrap().triplets;
        let pairs: Vec<_> =
            triplets.iter().map(|triplet| (&*triplet.anchor, &*triplet.positive, triplet.group)).collect();
        assert_eq!(pairs, [("가", "나", 0), ("나", "다", 0), ("다", "가", 0), ("라", "마", 2)]);
    }

    #[test]
    fn a_line_without_a_sentence_is_named() {
        assert_eq!(parse("3\t가\n3 나\n").unwrap_err(), (2, Problem::GroupLine));
        assert_eq!(parse("3\t \n").unwrap_err().0, 1);
        // A table of scored pairs is no such file.
        assert_eq!(parse("main-captions\tMSRvid\t0001\n").unwrap_err(), (1, Problem::GroupLine));
    }
}

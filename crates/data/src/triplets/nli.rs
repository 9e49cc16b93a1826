//! KLUE-NLI's JSON: premises with hypotheses that follow from them, contradict them, or neither.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, de::Error};

use super::example::{Parsed, Triplet, UnmatchedPair};
use crate::error::Problem;

#[derive(Deserialize)]
struct Record {
    #[serde(deserialize_with = "sentence")]
    premise: String,
    #[serde(deserialize_with = "sentence")]
    hypothesis: String,
    gold_label: Label,
}

#[derive(Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Label {
    Entailment,
    Neutral,
    Contradiction,
}

fn sentence<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() { Err(D::Error::custom("a blank sentence")) } else { Ok(text) }
}

/// All premises and hypotheses, whatever their labels.
pub(super) fn sentences(text: &str) -> Result<Vec<String>, (usize, Problem)> {
    Ok(records(text)?.into_iter().flat_map(|record| [record.premise, record.hypothesis]).collect())
}

fn records(text: &str) -> Result<Vec<Record>, (usize, Problem)> {
    serde_json::from_str(text.trim_start_matches('\u{FEFF}'))
        .map_err(|error| (error.line().max(1), Problem::Nli { reason: error.to_string() }))
}

/// One example for each entailment; the contradictions of its premise, if there are any, are its negatives in turn.
/// What does not follow from it is no example; what does not contradict it either is too alike for a hard negative.
pub(super) fn parse(text: &str) -> Result<Parsed, (usize, Problem)> {
    let records = records(text)?;
    let mut groups: HashMap<&str, usize> = HashMap::new();
    let mut contradictions: Vec<Vec<&str>> = Vec::new();
    for record in &records {
        let group = *groups.entry(&record.premise).or_insert_with(|| {
            contradictions.push(Vec::new());
            contradictions.len() - 1
        });
        if record.gold_label == Label::Contradiction {
            contradictions[group].push(&record.hypothesis);
        }
    }
    let mut taken = vec![0; contradictions.len()];
    let entailments = records.iter().filter(|record| record.gold_label == Label::Entailment);
    let triplets = entailments.map(|Record { premise, hypothesis, .. }| {
        let group = groups[premise.as_str()];
        let turn = taken[group] % contradictions[group].len().max(1);
        taken[group] += 1;
        let negatives = contradictions[group].get(turn).map(|&text| text.to_owned()).into_iter().collect();
        Triplet { anchor: premise.clone(), positive: hypothesis.clone(), negatives, group }
    });
    let unmatched =
        records.iter().filter(|record| record.gold_label != Label::Entailment).map(|record| UnmatchedPair {
            first: record.premise.clone(),
            second: record.hypothesis.clone(),
            is_alike: record.gold_label == Label::Neutral,
        });
    Ok(Parsed { triplets: triplets.collect(), unmatched: unmatched.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contradiction_is_the_hard_negative_of_its_premises_entailment() {
        let record = |premise: &str, hypothesis: &str, label: &str| {
            format!(r#"{{"guid": "x", "premise": "{premise}", "hypothesis": "{hypothesis}", "gold_label": "{label}"}}"#)
        };
        let records = [
            record("비가 온다.", "날씨가 맑다.", "contradiction"),
            record("비가 온다.", "날씨가 궂다.", "entailment"),
            record("비가 온다.", "바람이 분다.", "neutral"),
            record("눈이 온다.", "하얗다.", "entailment"),
        ];
        let Parsed { triplets, unmatched } = parse(&format!("[{}]", records.join(","))).unwrap();
        let triplet = |anchor: &str, positive: &str, negatives: &[&str], group| Triplet {
            anchor: anchor.to_owned(),
            positive: positive.to_owned(),
            negatives: negatives.iter().map(|&negative| negative.to_owned()).collect(),
            group,
        };
        let expected =
            [triplet("비가 온다.", "날씨가 궂다.", &["날씨가 맑다."], 0), triplet("눈이 온다.", "하얗다.", &[], 1)];
        assert_eq!(triplets, expected);
        let unmatched: Vec<_> = unmatched.iter().map(|pair| (&*pair.second, pair.is_alike)).collect();
        assert_eq!(unmatched, [("날씨가 맑다.", false), ("바람이 분다.", true)]);
    }

    #[test]
    fn a_label_that_is_none_and_a_blank_sentence_are_named_with_their_line() {
        let text = "[\n{\"premise\": \"가\", \"hypothesis\": \"나\", \"gold_label\": \"maybe\"}]";
        let (line, problem) = parse(text).unwrap_err();
        assert!(line == 2 && problem.to_string().contains("maybe"), "{line}: {problem}");
        let text = "[\n{\"premise\": \"가\", \"hypothesis\": \" \", \"gold_label\": \"neutral\"}]";
        let (line, problem) = parse(text).unwrap_err();
        assert!(line == 2 && problem.to_string().contains("a blank sentence"), "{line}: {problem}");
    }
}

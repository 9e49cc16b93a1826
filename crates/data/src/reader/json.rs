//! KLUE's JSON: an array of records, with the score in `labels.real-label` or, in a user's file, in `score` or `label`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::{Located, newlines};
use crate::error::Problem;
use crate::pair::{SentencePair, check_score};
use crate::scale::Scale;

/// A record of either form; other fields are ignored.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    sentence1: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sentence2: Option<Cow<'a, str>>,
    #[serde(borrow)]
    labels: Option<Labels<'a>>,
    #[serde(borrow)]
    score: Option<&'a RawValue>,
    #[serde(borrow)]
    label: Option<&'a RawValue>,
}

/// KLUE-STS v1.1: `label` is rounded to one digit and `binary-label` to none; only the real one is kept.
#[derive(Deserialize)]
struct Labels<'a> {
    #[serde(borrow, rename = "real-label")]
    real_label: Option<&'a RawValue>,
}

/// Reads every record of `text`.
pub(super) fn parse(text: &str) -> Result<Vec<SentencePair>, Located> {
    let records: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| failure(&error, 1))?;
    let mut pairs: Vec<SentencePair> = Vec::with_capacity(records.len());
    let mut line = 1;
    let mut counted = 0;
    for record in records {
        let offset = record.get().as_ptr().addr() - text.as_ptr().addr();
        line += newlines(&text.as_bytes()[counted..offset]);
        counted = offset;
        let parsed: Record = serde_json::from_str(record.get()).map_err(|error| failure(&error, line))?;
        let pair = pair(&parsed).map_err(|problem| (Some(line), problem))?;
        let labelled = pairs.first().map_or(pair.score.is_some(), |first| first.score.is_some());
        match (labelled, pair.score.is_some()) {
            (true, false) => return Err((Some(line), Problem::ScoreVanishes)),
            (false, true) => return Err((Some(line), Problem::ScoreAppears)),
            _ => pairs.push(pair),
        }
    }
    if pairs.is_empty() { Err((None, Problem::EmptyArray)) } else { Ok(pairs) }
}

fn pair(record: &Record) -> Result<SentencePair, Problem> {
    let sentence1 = record.sentence1.as_deref().ok_or(Problem::MissingField { name: "sentence1" })?;
    let sentence2 = record.sentence2.as_deref().ok_or(Problem::MissingField { name: "sentence2" })?;
    SentencePair::checked([sentence1, sentence2], ["sentence1", "sentence2"], score(record)?)
}

fn score(record: &Record) -> Result<Option<f64>, Problem> {
    let real_label = match &record.labels {
        Some(labels) => Some(labels.real_label.ok_or(Problem::MissingField { name: "labels.real-label" })?),
        None => None,
    };
    let candidates = [("labels.real-label", real_label), ("score", record.score), ("label", record.label)];
    let mut present = candidates.into_iter().filter_map(|(name, value)| Some((name, value?.get())));
    let Some((column, number)) = present.next() else { return Ok(None) };
    if let Some((second, _)) = present.next() {
        return Err(Problem::AmbiguousScore { first: column.to_owned(), second: second.to_owned() });
    }
    let shown = || number.split_whitespace().collect::<String>().chars().take(40).collect();
    // From its text, because the JSON parser's own numbers can be off in the last bit. Text in quotes is no number.
    match number.parse::<f64>() {
        Ok(score) => check_score(column, score, Scale::default(), shown).map(Some),
        Err(_) => Err(Problem::ScoreNotANumber { column: column.to_owned(), text: shown(), scale: Scale::default() }),
    }
}

/// A message of the JSON parser; `first_line` is the file's line on which the parsed text starts.
fn failure(error: &serde_json::Error, first_line: usize) -> Located {
    let line = first_line + error.line().saturating_sub(1);
    let message = error.to_string();
    let reason = match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message,
    };
    let reason = match error.classify() {
        serde_json::error::Category::Eof => format!("the JSON is cut off ({reason}), expected an array of records"),
        serde_json::error::Category::Syntax => format!("not valid JSON ({reason}), expected an array of records"),
        _ => format!("not the form expected ({reason}): an array of records with sentence1 and sentence2"),
    };
    (Some(line), Problem::Json { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        let (line, problem) = parse(text).unwrap_err();
        format!("{}: {problem}", line.unwrap_or_default())
    }

    #[test]
    fn the_real_label_is_kept_and_not_the_rounded_one() {
        let text = r#"[{"guid": "x", "source": "y", "sentence1": "가", "sentence2": "나",
            "labels": {"label": 3.7, "real-label": 3.714285714285714, "binary-label": 1}, "annotations": {}}]"#;
        assert_eq!(parse(text).unwrap()[0].score, Some(3.714285714285714));
    }

    #[test]
    fn a_score_is_read_to_its_last_bit() {
        for text in ["1.5254237288135595", "3.714285714285714", "0.1", "5", "0.30000000000000004", "1.0E0"] {
            let record = format!("[{{\"sentence1\": \"가\", \"sentence2\": \"나\", \"score\": {text} }}]");
            assert_eq!(parse(&record).unwrap()[0].score, Some(text.parse().unwrap()));
        }
    }

    #[test]
    fn a_flat_array_has_score_or_label_or_neither() {
        let score = |field: &str| {
            parse(&format!(r#"[{{"sentence1": "가", "sentence2": "\"나\"\n"{field}}}]"#)).map(|pairs| pairs[0].clone())
        };
        assert_eq!(score(r#", "score": 5"#).unwrap().score, Some(5.0));
        assert_eq!(score(r#", "label": 0.5"#).unwrap().score, Some(0.5));
        assert_eq!(
            score("").unwrap(),
            SentencePair { sentence1: "가".into(), sentence2: "\"나\"\n".into(), score: None }
        );
        let ambiguous = score(r#", "score": 1, "label": 1"#).unwrap_err();
        assert_eq!(ambiguous, (Some(1), Problem::AmbiguousScore { first: "score".into(), second: "label".into() }));
    }

    #[test]
    fn a_bad_record_is_reported_by_the_line_it_starts_on() {
        let record =
            |rest: &str| format!("[\n{{\"sentence1\": \"가\",\n\"sentence2\": \"나\", \"score\": 1}},\n{{{rest}}}\n]");
        let good = r#""sentence1": "가", "sentence2": "나""#;
        assert_eq!(message(&record(&format!("{good}, \"score\": 6.2"))), "4: score 6.2 is outside 0..=5");
        assert_eq!(message(&record(&format!("{good}, \"score\": -1"))), "4: score -1 is outside 0..=5");
        let text = message(&record(&format!("{good}, \"score\": 1e999")));
        assert_eq!(text, "4: score 1e999 is not a number, expected one in 0..=5");
        assert_eq!(message(&record(good)), "4: no score, although the first record has one");
        let text = message(&record(&format!("{good}, \"score\": \"3\"")));
        assert_eq!(text, "4: score \"3\" is not a number, expected one in 0..=5");
        let empty = r#""sentence1": "가", "sentence2": " ", "score": 1"#;
        assert_eq!(message(&record(empty)), "4: sentence2 is empty, expected a sentence");
        assert!(message(&record(r#""sentence1": "가", "score": 1"#)).starts_with("4: no field \"sentence2\""));
        let labels = format!("{good}, \"labels\": {{\"label\": 1}}");
        assert!(message(&record(&labels)).starts_with("4: no field \"labels.real-label\""));
    }

    #[test]
    fn a_wrong_type_is_reported_by_its_own_line() {
        let text = "[\n{\"sentence1\": \"가\",\n\"sentence2\": 7}]";
        assert!(message(text).starts_with("3: not the form expected (invalid type: integer `7`"), "{}", message(text));
    }

    #[test]
    fn truncated_or_foreign_json_is_one_line() {
        assert!(message("[\n{\"sentence1\": \"가").starts_with("2: the JSON is cut off"));
        assert!(message("[{}]\nmore").starts_with("2: not valid JSON"));
        assert!(message("{\"data\": []}").starts_with("1: not the form expected"));
        assert!(message("[1]").starts_with("1: not the form expected"));
        assert_eq!(parse("[]"), Err((None, Problem::EmptyArray)));
    }
}

//! Claims about delimited files.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn parse(text: &str, dialect: Dialect) -> Result<Vec<SentencePair>, Located> {
    super::parse(text, dialect).map(|(pairs, _)| pairs)
}

fn pair(sentence1: &str, sentence2: &str, score: f64) -> SentencePair {
    SentencePair { sentence1: sentence1.into(), sentence2: sentence2.into(), score: Some(score) }
}

fn message(text: &str, dialect: Dialect) -> String {
    let (line, problem) = parse(text, dialect).unwrap_err();
    format!("{}: {problem}", line.unwrap_or_default())
}

#[test]
fn a_quote_in_a_tsv_is_text() {
    let text = "score\tsentence1\tsentence2\n1.5\t\"가\t나\"\n2\t\"\"\"\t그는 \"네\"라고\n3\t다\t\"라\n";
    let expected = [pair("\"가", "나\"", 1.5), pair("\"\"\"", "그는 \"네\"라고", 2.0), pair("다", "\"라", 3.0)];
    assert_eq!(parse(text, Dialect::TSV).unwrap(), expected);
}

#[test]
fn a_quoted_csv_field_may_hold_commas_newlines_and_doubled_quotes() {
    let text = "sentence1,sentence2,label\n\"가, \"\"나\"\"\n다\",라 \"마\" 바,0.5\n";
    assert_eq!(parse(text, Dialect::CSV).unwrap(), [pair("가, \"나\"\n다", "라 \"마\" 바", 0.5)]);
}

#[test]
fn columns_are_found_by_name_in_any_order_among_others() {
    let text = "id,note,note, score ,x^2,sentence2,sentence1\n1,a,b,4,c,나,가\n";
    assert_eq!(parse(text, Dialect::CSV).unwrap(), [pair("가", "나", 4.0)]);
}

#[test]
fn sentences_are_kept_byte_for_byte() {
    let text = "sentence1\tsentence2\tscore\n 가  \t\u{3000}나\u{200B}\t1\nx^2\\n\t'#,;\t2\n";
    let expected = [pair(" 가  ", "\u{3000}나\u{200B}", 1.0), pair("x^2\\n", "'#,;", 2.0)];
    assert_eq!(parse(text, Dialect::TSV).unwrap(), expected);
}

#[test]
fn windows_line_ends_and_blank_lines_are_no_part_of_a_row() {
    let text = "\r\nsentence1,score,sentence2\r\n\r\n가,1,나\r\n\n\"다\",2,\"라\"\r\n\r\n";
    assert_eq!(parse(text, Dialect::CSV).unwrap(), [pair("가", "나", 1.0), pair("다", "라", 2.0)]);
}

#[test]
fn a_file_without_scores_is_read_unlabelled() {
    let pairs = parse("sentence1\tsentence2\n가\t나", Dialect::TSV).unwrap();
    assert_eq!(pairs, [SentencePair { sentence1: "가".into(), sentence2: "나".into(), score: None }]);
}

#[test]
fn an_error_names_the_line_on_which_the_row_starts() {
    let csv =
        |row: &str| message(&format!("sentence1,sentence2,score\n\"가\n\n나\",다,1\n\n{row}\n라,마,2\n"), Dialect::CSV);
    assert_eq!(csv("가,나,6.2"), "6: score \"6.2\" is outside 0..=5");
    assert_eq!(csv("가,나,-0.5"), "6: score \"-0.5\" is outside 0..=5");
    assert_eq!(csv("가,나,NaN"), "6: score \"NaN\" is not a number, expected one in 0..=5");
    assert_eq!(csv("가,나,"), "6: score is empty, expected a number in 0..=5");
    assert_eq!(csv("가,나,\"\""), "6: score is empty, expected a number in 0..=5");
    assert_eq!(csv(",나,1"), "6: sentence1 is empty, expected a sentence");
    assert_eq!(csv("가,\" \u{3000}\",1"), "6: sentence2 is empty, expected a sentence");
    assert_eq!(csv("가,나"), "6: the number of fields is 2, expected 3 as in the header");
    assert_eq!(csv("가,나,1,"), "6: the number of fields is 4, expected 3 as in the header");
    assert_eq!(csv(" "), "6: the number of fields is 1, expected 3 as in the header");
}

#[test]
fn a_header_that_does_not_fit_names_what_it_has() {
    let header = |line: &str| message(&format!("\n{line}\n"), Dialect::CSV);
    assert_eq!(
        header("sentence1,target,score"),
        "2: no column \"sentence2\" among \"sentence1\", \"target\", \"score\"; \
         expected sentence1, sentence2 and score or label"
    );
    assert_eq!(
        header("sentence1,sentence2,score,label"),
        "2: both \"score\" and \"label\" are present, expected only one of them"
    );
    assert_eq!(
        header("sentence1,sentence1,sentence2"),
        "2: column \"sentence1\" occurs more than once, expected it once"
    );
    assert!(header(&"가".repeat(1000)).chars().count() < 300);
}

/// The fields of text that the scan accepts, split in the plainest way.
fn rows_by_hand(text: &str, dialect: Dialect) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut enclosed, mut started) = (false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if enclosed && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' if enclosed => enclosed = false,
            '"' if dialect.quoting && !started => enclosed = true,
            '\r' if !enclosed && matches!(characters.peek(), None | Some('\n')) => continue,
            '\n' if !enclosed => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other if !enclosed && other == char::from(dialect.separator) => row.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
        started = !(matches!(character, '\n') || character == char::from(dialect.separator)) || enclosed;
    }
    if started || !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows.retain(|row| row.len() > 1);
    rows
}

/// polars must agree with a plain reading of everything that the scan lets through, in text made to confuse readers.
#[test]
fn no_accepted_text_is_read_otherwise_than_it_stands() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut accepted = 0;
    for round in 0..150_000 {
        let dialect = if round % 3 == 0 { Dialect::TSV } else { Dialect::CSV };
        let separator = char::from(dialect.separator).to_string();
        let pieces = ["\"", "\"\"", "\n", "\r\n", "\r", "가", "a", " ", ",", "\t", "#", "\n\n", "\"a\"", "1"];
        let mut text = format!("sentence1{separator}sentence2\n");
        for _ in 0..rng.random_range(1..6) {
            let mut piece =
                || -> String { (0..rng.random_range(1..4)).map(|_| *pieces.choose(&mut rng).unwrap()).collect() };
            let (left, right) = (piece(), piece());
            text += &format!("{left}{separator}{right}\n");
        }
        let Ok(pairs) = parse(&text, dialect) else { continue };
        accepted += 1;
        let read: Vec<Vec<String>> = pairs.into_iter().map(|pair| vec![pair.sentence1, pair.sentence2]).collect();
        assert_eq!(read, rows_by_hand(&text, dialect)[1..], "{text:?}");
    }
    assert!(accepted > 5_000, "{accepted}");
}

/// polars reads a long text in chunks of a few KiB, which must not cut a quoted sentence of several lines.
#[test]
fn no_row_is_lost_where_a_long_file_is_read_in_parts() {
    let expected: Vec<SentencePair> = (0..20_000)
        .map(|i| pair(&format!("{i}\n\"인용, {i}\"\n\n끝"), &"글".repeat(i % 50 + 1), (i % 6) as f64))
        .collect();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let rows: String = (expected.iter())
        .map(|pair| format!("{},{},{}\n", quoted(&pair.sentence1), pair.sentence2, pair.score.unwrap()))
        .collect();
    assert!(parse(&format!("sentence1,sentence2,score\n{rows}"), Dialect::CSV).unwrap() == expected);
}

//! Bad input to the binary: exit code, one line on standard error that says where and what, nothing on standard output.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;

use common::{data, files, stderr, stdout};

/// Writes `content` to `name`, asks for its statistics, and returns the only line of standard error.
fn refusal_of(name: &str, content: impl AsRef<[u8]>) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    let output = data(folder.path(), &["stats", name]);
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stdout(&output), "");
    let line = stderr.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n') && !line.contains("panicked"), "{stderr}");
    line.strip_prefix("error: ").unwrap().to_owned()
}

const HEADER: &str = "genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\n";

#[test]
fn a_bad_row_is_named_by_file_and_line() {
    let row = |score: &str| format!("{HEADER}g\tf\ty\t1\t5.000\t가\t나\ng\tf\ty\t2\t{score}\t다\t라\n");
    assert_eq!(refusal_of("sts.tsv", row("6.2")), "sts.tsv:3: score \"6.2\" is outside 0..=5");
    assert_eq!(refusal_of("sts.tsv", row("-1")), "sts.tsv:3: score \"-1\" is outside 0..=5");
    assert_eq!(refusal_of("sts.tsv", row("")), "sts.tsv:3: score is empty, expected a number in 0..=5");
    for score in ["NaN", "inf", "좋음"] {
        let expected = format!("sts.tsv:3: score \"{score}\" is not a number, expected one in 0..=5");
        assert_eq!(refusal_of("sts.tsv", row(score)), expected);
    }
    let few = format!("{HEADER}g\tf\ty\t1\t5.000\t가\n");
    assert_eq!(refusal_of("sts.tsv", few), "sts.tsv:2: 6 fields, expected 7 as in the first row");
    let many = format!("{HEADER}g\tf\ty\t1\t5.000\t가\t나\tsource\n");
    assert_eq!(refusal_of("sts.tsv", many), "sts.tsv:2: 8 fields, expected 7 as in the first row");
    let blank = format!("{HEADER}g\tf\ty\t1\t5.000\t가\t  \n");
    assert_eq!(refusal_of("sts.tsv", blank), "sts.tsv:2: sentence2 is empty, expected a sentence");
}

#[test]
fn bytes_that_are_no_text_are_named_by_their_line() {
    let mut bytes = b"sentence1,sentence2\n\xEA\xB0\x80,b\n".to_vec(); // UTF-8, which is not CP949
    bytes.extend_from_slice(b"\xB0\xA1,d\n"); // CP949, which is not UTF-8
    assert_eq!(refusal_of("x.csv", &bytes), "x.csv:2: not UTF-8, and not CP949 either");
    let mut bytes = "sentence1,sentence2\n비가 많이 온다.,눈이 온다.\n".as_bytes().to_vec();
    bytes.extend_from_slice(b"\xFF,d\n");
    assert_eq!(refusal_of("x.csv", &bytes), "x.csv:3: not UTF-8");
    let cut = "[{\"sentence1\": \"가\"".as_bytes();
    assert!(refusal_of("x.json", &cut[..cut.len() - 2]).starts_with("x.json:1: byte 0xEA is not valid UTF-8"));
    let zero = "x.tsv: the file is not text: it holds zero bytes";
    assert!(refusal_of("x.tsv", b"sentence1\tsentence2\n\0a\tb\n").starts_with(zero));
}

#[test]
fn a_file_that_holds_no_pairs_is_refused() {
    for name in ["x.csv", "x.tsv", "x.json"] {
        for content in ["", "\n\r\n  \n", "\u{FEFF}"] {
            let expected = format!("{name}: the file is empty");
            assert!(refusal_of(name, content).starts_with(&expected));
        }
    }
    let no_rows = "x.tsv: no rows after the header, expected at least one sentence pair";
    assert_eq!(refusal_of("x.tsv", HEADER), no_rows);
    assert_eq!(refusal_of("x.json", "[]"), "x.json: the array is empty, expected at least one sentence pair");
}

#[test]
fn wrong_columns_are_listed_with_the_expected_ones() {
    let message = refusal_of("x.csv", "text_a,text_b,score\na,b,1\n");
    assert!(
        message.starts_with("x.csv: no column \"sentence1\" among \"text_a\", \"text_b\", \"score\";"),
        "{message}"
    );
    let expected = "expected sentence1, sentence2 and score or label, or name yours (data.columns, --columns)";
    assert!(message.ends_with(expected), "{message}");
    let message = refusal_of("x.csv", "sentence1,sentence2,score,label\na,b,1,1\n");
    assert!(message.contains("both \"score\" and \"label\" are present"), "{message}");
}

#[test]
fn broken_quotes_in_a_csv_are_named_by_line() {
    let message = refusal_of("x.csv", "sentence1,sentence2\na,b\n\"c,d\ne,f\n");
    assert!(message.starts_with("x.csv:3: a quote opens a field and no quote closes it"), "{message}");
    let message = refusal_of("x.csv", "sentence1,sentence2\na,b\n\"c\"d,e\nf,g\n");
    assert!(message.starts_with("x.csv:3: text after the quote that closes a field"), "{message}");
}

#[test]
fn truncated_json_is_named_by_line() {
    let whole = "[\n  {\n    \"sentence1\": \"가\",\n    \"sentence2\": \"나\",\n    \"score\": 1.0\n  }\n]\n";
    for (end, byte) in whole.bytes().enumerate().take(whole.len() - 2).skip(1) {
        if byte.is_ascii_punctuation() || byte == b'\n' {
            let message = refusal_of("x.json", &whole[..end]);
            assert!(message.contains("the JSON is cut off"), "{message}");
        }
    }
    assert!(refusal_of("x.json", &whole[..28]).starts_with("x.json:3: the JSON is cut off"));
}

#[test]
fn what_is_no_readable_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder.csv")).unwrap();
    fs::write(folder.path().join("pairs.xlsx"), b"PK\x03\x04").unwrap();
    for (spec, code, expected) in [
        (
            "folder.csv",
            1,
            "error: folder.csv: is a directory, expected a .json, .jsonl, .tsv, .csv, .xlsx or .parquet file\n",
        ),
        ("pairs.xlsx", 1, "error: pairs.xlsx: not a readable .xlsx workbook: "),
        (
            "absent.tsv",
            1,
            "error: no file for dataset \"absent.tsv\": looked at absent.tsv; check the path (known names: ",
        ),
        (
            "klue-sts:dev",
            1,
            "error: no file for dataset \"klue-sts:dev\": looked at data/klue-sts/klue-sts-v1.1_dev.json; \
                             get it with `cargo run --release -p data -- fetch klue-sts` (known names: klue-sts:{train,dev}, ",
        ),
        ("klue-sts:test", 2, "error: unknown dataset \"klue-sts:test\": the known names are klue-sts:{train,dev}, "),
        ("multi\nline", 2, "error: unknown dataset \"multi\\nline\""),
    ] {
        let output = data(folder.path(), &["stats", spec]);
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.starts_with(expected) && stderr.lines().count() == 1, "{stderr}\n{expected}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn a_refused_split_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..40).map(|i| format!("문장 {i},글 {i},{}\n", i % 5)).collect();
    fs::write(folder.path().join("good.csv"), format!("sentence1,sentence2,score\n{rows}")).unwrap();
    fs::write(folder.path().join("bad.csv"), format!("sentence1,sentence2,score\n{rows}a,b,9\n")).unwrap();
    fs::write(folder.path().join("unlabelled.csv"), "sentence1,sentence2\na,b\nc,d\n").unwrap();
    fs::write(folder.path().join("three.csv"), "sentence1,sentence2,score\na,b,1\nc,d,2\ne,f,3\n").unwrap();
    for (spec, fraction, code, part) in [
        ("good.csv", "1", 2, "expected a number above 0 and below 1"),
        ("good.csv", "0", 2, "expected a number above 0 and below 1"),
        ("good.csv", "-0.5", 2, "expected a number above 0 and below 1"),
        ("good.csv", "NaN", 2, "expected a number above 0 and below 1"),
        ("bad.csv", "0.5", 1, "bad.csv:42: score \"9\" is outside 0..=5"),
        ("unlabelled.csv", "0.5", 1, "unlabelled.csv: no scores"),
        ("three.csv", "0.1", 1, "leaves one part empty"),
    ] {
        let output = data(folder.path(), &["split", spec, "--fraction", fraction, "--out", "parts"]);
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(part) && stderr.lines().count() == 1, "{stderr}");
        assert!(!folder.path().join("parts").exists());
    }
    let output = data(folder.path(), &["split", "good.csv", "--out", "good.csv"]);
    assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(1), 1));
    assert_eq!(files(folder.path()), ["bad.csv", "good.csv", "three.csv", "unlabelled.csv"]);
}

#[test]
fn wrong_use_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&[][..], &["stats"], &["split", "x.csv"], &["fetch", "snli"], &["frobnicate"]] {
        assert_eq!(data(folder.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}

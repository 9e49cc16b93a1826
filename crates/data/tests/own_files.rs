//! Files of pairs as people have them: their own columns, their own scale, any form of table.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{fs, sync::Arc};

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field};
use common::{data, stderr, stdout};
use data::{DataDir, Dataset, PairFile, Reading, SentencePair};
use parquet::arrow::ArrowWriter;

const PAIRS: [(&str, &str, f64); 3] = [
    ("비가 온다.", "비가 내린다.", 4.5),
    ("그가 \"왜?\"라고, 했다.", "눈이 온다.", 0.0),
    ("밥을 먹었다.", "식사를 했다.", 3.714285714285714),
];

fn expected() -> Vec<SentencePair> {
    let pair = |(sentence1, sentence2, score): (&str, &str, f64)| SentencePair {
        sentence1: sentence1.to_owned(),
        sentence2: sentence2.to_owned(),
        score: Some(score),
    };
    PAIRS.map(pair).to_vec()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn csv(delimiter: char, header: [&str; 3]) -> String {
    let row = |(a, b, score): (&str, &str, f64)| format!("{score}{delimiter}{}{delimiter}{}\r\n", quoted(a), quoted(b));
    format!("{2}{delimiter}{0}{delimiter}{1}\r\n", header[0], header[1], header[2]) + &PAIRS.map(row).concat()
}

/// KLUE's own columns, as `datasets` writes them.
fn parquet() -> Vec<u8> {
    let text = |get: fn(&(&'static str, &'static str, f64)) -> &'static str| {
        Arc::new(StringArray::from_iter_values(PAIRS.iter().map(get))) as ArrayRef
    };
    let real: ArrayRef = Arc::new(Float64Array::from_iter_values(PAIRS.map(|(_, _, score)| score)));
    let rounded: ArrayRef = Arc::new(Float64Array::from_iter_values(PAIRS.map(|(_, _, score)| score.round())));
    let field = |name: &str| Arc::new(Field::new(name, DataType::Float64, false));
    let labels: ArrayRef = Arc::new(StructArray::from(vec![(field("label"), rounded), (field("real-label"), real)]));
    let columns = [("sentence1", text(|pair| pair.0)), ("sentence2", text(|pair| pair.1)), ("labels", labels)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn pairs_are_read_from_every_form_of_table() {
    let folder = tempfile::tempdir().unwrap();
    let usual = ["sentence1", "sentence2", "score"];
    let tsv: String = PAIRS.map(|(a, b, score)| format!("{a}\t{b}\t{score}\n")).concat();
    let line = |(a, b, score): (&str, &str, f64)| {
        serde_json::json!({"sentence1": a, "sentence2": b, "labels": {"label": 9, "real-label": score}}).to_string()
    };
    let lines = PAIRS.map(line);
    let utf16: Vec<u8> =
        std::iter::once(0xFEFF).chain(csv(',', usual).encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for (name, bytes) in [
        ("plain.csv", csv(',', usual).into_bytes()),
        ("semicolons.csv", csv(';', usual).into_bytes()),
        ("korean.csv", encoding_rs::EUC_KR.encode(&csv(',', usual)).0.into_owned()),
        ("utf16.csv", utf16),
        ("sep.csv", format!("sep=;\r\n{}", csv(';', usual)).into_bytes()),
        ("named otherwise.tsv", csv(',', usual).into_bytes()),
        ("blank.tsv", format!("Sentence1\tSENTENCE2\tlabel\n\n{tsv}\n \n").into_bytes()),
        ("lines.jsonl", lines.join("\n").into_bytes()),
        ("lines.json", lines.join("\n").into_bytes()),
        ("array.json", format!("[{}]", lines.join(",\n")).into_bytes()),
        ("klue.parquet", parquet()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let (path, dir) = (path.to_str().unwrap(), DataDir::new(None));
        assert_eq!(Dataset::load(path, &dir).unwrap().pairs, expected(), "{name}");
        let file = PairFile::open(path, &dir).unwrap();
        let parts: Vec<_> = file.parts().unwrap().map(Result::unwrap).collect();
        assert_eq!((file.pairs, parts.concat()), (3, expected()), "{name}");
    }
}

#[test]
fn columns_and_scale_may_be_a_users_own() {
    let folder = tempfile::tempdir().unwrap();
    let decomposed = "\u{1106}\u{116E}\u{11AB}\u{110C}\u{1161}\u{11BC}1"; // 문장1, as macOS writes it
    let halves = csv(',', [decomposed, "문장 2", "점수"]).replace("4.5,", "0.9,").replace("3.714285714285714", "0.5");
    let path = folder.path().join("own.csv");
    fs::write(&path, halves).unwrap();
    let reading = |scale: &str| Reading {
        columns: "문장1,문장2,점수".parse().unwrap(),
        scale: scale.parse().unwrap(),
        sheet: None,
    };
    let load = |scale: &str| Dataset::load(path.to_str().unwrap(), &DataDir::new(None).with_reading(reading(scale)));
    let scores: Vec<f64> = load("0,1").unwrap().scores().unwrap();
    assert_eq!(scores, [4.5, 0.0, 2.5]);
    assert!(load("0,0.6").unwrap_err().to_string().ends_with("own.csv:2: 점수 \"0.9\" is outside 0..=0.6"));
    // A named set has its own columns and scale.
    let sample = Some(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data"));
    let named = |dir: DataDir| Dataset::load("sample:dev", &dir).unwrap().pairs;
    assert_eq!(named(DataDir::new(sample.clone()).with_reading(reading("0,1"))), named(DataDir::new(sample)));
    let output = data(folder.path(), &["stats", "own.csv", "--columns", "문장1,문장2,점수", "--scale", "0,1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("comma-separated, UTF-8, with a header"), "{}", stdout(&output));
    let output = data(folder.path(), &["stats", "own.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no column \"sentence1\" among "), "{}", stderr(&output));
    assert!(stderr(&output).ends_with("or name yours (data.columns, --columns)\n"), "{}", stderr(&output));
    let output = data(folder.path(), &["stats", "own.csv", "--columns", "문장1,문장1,점수"]);
    assert!(stderr(&output).ends_with("both sentences of a pair would be column \"문장1\", expected two columns\n"));
    let output = data(folder.path(), &["stats", "own.csv", "--columns", "문장1,문장2,점수"]);
    assert!(stderr(&output).starts_with("warning: own.csv: no score is above 1"), "{}", stderr(&output));
    for (flag, value) in [("--scale", "1,0"), ("--scale", "five"), ("--columns", "a"), ("--columns", "label=x")] {
        let output = data(folder.path(), &["stats", "own.csv", flag, value]);
        assert_eq!(output.status.code(), Some(2), "{flag} {value}");
    }
}

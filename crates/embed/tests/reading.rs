//! `embed` on tables as people have them: no row is lost, none is made of two.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Output},
};

use arrow_array::{Array, RecordBatch};
use arrow_select::concat::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

const A: &str = "비가 온다.";
const B: &str = "눈이 온다.";

fn embed(folder: &Path, arguments: &[&str]) -> Output {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/roberta-tiny");
    let mut command = Command::new(env!("CARGO_BIN_EXE_embed"));
    command.current_dir(folder).args(["--device", "cpu", "--threads", "1", "--model"]).arg(model);
    command.args(arguments).output().unwrap()
}

fn rows(folder: &Path, arguments: &[&str]) -> RecordBatch {
    let _ = fs::remove_dir_all(folder.join("out"));
    let output = embed(folder, &[arguments, &["--output", "out"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let mut paths: Vec<_> = fs::read_dir(folder.join("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "parquet"));
    paths.sort();
    let open = |path| ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = paths.into_iter().flat_map(open).map(Result::unwrap).collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// The texts of the rows that have an embedding, by the column of this name.
fn texts(rows: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let texts = tables::texts(rows.column_by_name(column).unwrap()).unwrap();
    let vectors = rows.column_by_name("embedding").unwrap();
    (0..rows.num_rows()).map(|row| (!vectors.is_null(row)).then(|| texts.value(row).to_owned())).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| (!text.is_empty()).then(|| (*text).to_owned())).collect()
}

#[test]
fn every_row_of_every_form_has_its_embedding() {
    let folder = TempDir::new().unwrap();
    for (name, bytes, column, expected) in [
        (
            "lines.txt",
            format!("\"안녕\"이라고 그가 말했다.\n\"그는 떠났다.\n{A}\n").into_bytes(),
            "text",
            &["\"안녕\"이라고 그가 말했다.", "\"그는 떠났다.", A][..],
        ),
        ("quotes.tsv", format!("id\t문장\n1\t\"그는 떠났다.\n2\t{A}\n").into_bytes(), "문장", &["\"그는 떠났다.", A]),
        (
            "sheet.tsv",
            "id\t문장\n1\t\"두 줄\n짜리\"\n2\t\"\"\"좋다\"\"고\"\n".as_bytes().to_vec(),
            "문장",
            &["두 줄\n짜리", "\"좋다\"고"],
        ),
        ("blank.csv", format!("text\n{A}\n\n{B}\n").into_bytes(), "text", &[A, "", B]),
        ("sep.csv", format!("sep=;\nid;문장\n1;{A}\n2;{B}\n").into_bytes(), "문장", &[A, B]),
        (
            "korean.csv",
            encoding_rs::EUC_KR.encode(&format!("번호,리뷰\n1,{A}\n2,{B}\n")).0.into_owned(),
            "리뷰",
            &[A, B],
        ),
        (
            "mark.jsonl",
            format!("\u{FEFF}{{\"n\": 1, \"text\": \"{A}\"}}\n{{\"text\": null}}\n").into_bytes(),
            "text",
            &[A, ""],
        ),
        ("null.jsonl", format!("{{\"memo\": null, \"text\": \"{A}\"}}\n").into_bytes(), "text", &[A]),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        assert_eq!(texts(&rows(folder.path(), &["--input", name]), column), some(expected), "{name}");
    }
}

#[test]
fn files_are_merged_by_the_names_of_their_columns() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("a.jsonl", format!("{{\"n\": 1, \"text\": \"{A}\", \"memo\": null}}\n"));
    write("b.jsonl", format!("{{\"memo\": \"x\", \"text\": \"{B}\", \"n\": 2.5}}\n"));
    write("c.csv", format!("text,memo,n\n{A},y,007\n"));
    let merged = rows(folder.path(), &["--input", "a.jsonl", "--input", "b.jsonl", "--input", "c.csv"]);
    assert_eq!(texts(&merged, "text"), some(&[A, B, A]));
    // The column may be missing in the first file, where a field of JSON is null.
    write("0.jsonl", "{\"n\": 0, \"memo\": null}\n".to_owned());
    let late = rows(folder.path(), &["--input", "0.jsonl", "--input", "a.jsonl", "--column", "text"]);
    assert_eq!(texts(&late, "text"), some(&["", A]));
    let column = |name: &str| {
        let texts = tables::texts(merged.column_by_name(name).unwrap()).unwrap();
        texts.iter().map(|text| text.unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (column("memo"), column("n")),
        (vec!["-".to_owned(), "x".into(), "y".into()], vec!["1".to_owned(), "2.5".into(), "007".into()])
    );
}

#[test]
fn what_was_detected_is_said_and_what_is_unclear_is_asked() {
    let folder = TempDir::new().unwrap();
    let korean = encoding_rs::EUC_KR.encode(&format!("작성일;리뷰\n2026-11-28;{A}\n")).0.into_owned();
    fs::write(folder.path().join("shop.csv"), korean).unwrap();
    let said = String::from_utf8(embed(folder.path(), &["--input", "shop.csv", "--output", "said"]).stderr).unwrap();
    assert!(said.contains("shop.csv: semicolon-separated, CP949, with a header\ntexts: column \"리뷰\"\n"), "{said}");
    fs::write(folder.path().join("pairs.csv"), format!("a,b\n{A},{B}\n{B},{A}\n")).unwrap();
    let output = embed(folder.path(), &["--input", "pairs.csv", "--output", "out"]);
    let expected = "error: pairs.csv: columns \"0\" and \"1\" both look like sentences: name the column; the file has \"0\", \"1\"\n";
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(1), expected));
    let job = ["--input", "pairs.csv", "--column", "1", "--output", "out"];
    assert!(embed(folder.path(), &job).status.success());
    // Read otherwise, its rows are others.
    let output = embed(folder.path(), &[&job[..], &["--has-header", "false"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("which differs in --has-header"));
    fs::write(folder.path().join("nul.tsv"), format!("id\ttext\n1\t\0{A}\n2\t{B}\n3\t\0{A}\n")).unwrap();
    let output = embed(folder.path(), &["--input", "nul.tsv", "--output", "nul"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("holds zero bytes"));
}

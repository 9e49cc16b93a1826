mod store;

use std::{fs, path::Path, sync::Arc};

use arrow_array::{ArrayRef, FixedSizeListArray, Int64Array, RecordBatch, StringArray, types::Float32Type};
use arrow_schema::{Field, Schema};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    Dtype,
    parts::{self, Part},
};

pub(super) const WIDTH: usize = 24;
pub(super) const ROWS: usize = 5000;

/// Numbers that look drawn, the same each time.
fn number(seed: usize) -> f32 {
    let mut bits = (seed as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((bits >> 40) as f32) / (1 << 23) as f32 - 1.0
}

pub(super) fn vector(row: usize) -> Vec<f32> {
    (0..WIDTH).map(|place| number(row * WIDTH + place)).collect()
}

/// Two parts; every hundredth row has no embedding.
pub(super) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 0);
    folder
}

/// The rows from `first` on.
pub(super) fn write(folder: &Path, first: usize) {
    let columns = Columns::Embedding { text: "text".into(), name: "embedding".into(), dtype: Dtype::F32 };
    let settings = Settings {
        prompt: String::new(),
        model: "m".into(),
        model_sha256: "0".into(),
        dimensions: WIDTH,
        precision: "f32".into(),
        pooling: None,
        max_seq_length: 128,
        sheet: None,
        has_header: None,
        columns,
        rows_per_part: ROWS / 2,
        inputs: Vec::new(),
    };
    settings.claim(folder).unwrap();
    for part in 0..2 {
        let rows = first + part * ROWS / 2..first + (part + 1) * ROWS / 2;
        let lists = rows.clone().map(|row| (row % 100 != 7).then(|| vector(row).into_iter().map(Some)));
        let lists = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(lists, WIDTH as i32);
        let text: StringArray = rows.clone().map(|row| Some(format!("문장 {row}"))).collect();
        let kind: StringArray = rows.clone().map(|row| (row % 5 != 0).then(|| ["뉴스", "리뷰"][row % 2])).collect();
        let year: Int64Array = rows.map(|row| Some(2000 + row as i64 % 20)).collect();
        let columns: [(&str, ArrayRef); 4] = [
            ("text", Arc::new(text)),
            ("kind", Arc::new(kind)),
            ("year", Arc::new(year)),
            ("embedding", Arc::new(lists)),
        ];
        let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(schema.clone(), columns.map(|(_, column)| column).to_vec()).unwrap();
        let mut written = Part::create(&parts::path(folder, 0, part), &schema).unwrap();
        written.write(&batch).unwrap();
        written.finish().unwrap();
    }
    parts::note_counts(folder, &[2]).unwrap();
}

pub(super) fn open(dir: &Path, format: ScanFormat) -> Corpus {
    Corpus::open(dir, None, format, &mut |_| {}).unwrap()
}

/// The best rows by f64, of those that pass.
pub(super) fn expected(query: &[f32], most: usize, passes: impl Fn(usize) -> bool) -> Vec<u64> {
    let length = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let dot = |x: &[f32]| x.iter().zip(query).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosine = |row: usize| dot(&vector(row)) / length(&vector(row)) / length(query);
    let mut rows: Vec<usize> = (0..ROWS).filter(|row| row % 100 != 7 && passes(*row)).collect();
    rows.sort_by(|&a, &b| cosine(b).total_cmp(&cosine(a)));
    rows.into_iter().take(most).map(|row| row as u64).collect()
}

pub(super) fn found(corpus: &Corpus, query: &[f32], most: usize, conditions: Value) -> Vec<u64> {
    let Value::Object(conditions) = conditions else { panic!("{conditions}") };
    let filter = corpus.filter(&conditions).unwrap();
    corpus.search(query, most, &filter).iter().map(|hit| corpus.row(hit).unwrap().index).collect()
}

#[test]
fn every_format_finds_exactly_the_nearest_rows() {
    let folder = folder();
    for format in ScanFormat::ALL {
        let corpus = open(folder.path(), format);
        assert_eq!(corpus.rows(), ROWS - ROWS / 100);
        for query in 0..20 {
            let query = vector(ROWS + query);
            assert_eq!(found(&corpus, &query, 10, json!({})), expected(&query, 10, |_| true), "{format}");
        }
        let query = vector(3); // a row itself
        let best = corpus.search(&query, 1, &Filter::default())[0];
        assert!((best.cosine - 1.0).abs() < 1e-6);
        let Row { index, text, columns } = corpus.row(&best).unwrap();
        assert_eq!((index, text.as_str()), (3, "문장 3"));
        assert_eq!(columns.get(), r#"{"text":"문장 3","kind":"리뷰","year":2003}"#);
        assert_eq!(corpus.search(&query, ROWS * 2, &Filter::default()).len(), corpus.rows());
    }
}

#[test]
fn a_filter_leaves_the_nearest_of_those_that_pass() {
    let (folder, query) = (folder(), vector(ROWS));
    let corpus = open(folder.path(), ScanFormat::Int8);
    let passes = |row: usize| !row.is_multiple_of(5) && row % 20 == 4; // an even one, so the first kind
    assert_eq!(found(&corpus, &query, 10, json!({"kind": "뉴스", "year": 2004})), expected(&query, 10, passes));
    let passes = |row: usize| row % 20 >= 17;
    assert_eq!(found(&corpus, &query, 10, json!({"year": {"gt": 2016}})), expected(&query, 10, passes));
    assert_eq!(found(&corpus, &query, 10, json!({"kind": null})), expected(&query, 10, |row| row.is_multiple_of(5)));
    assert_eq!(found(&corpus, &query, 10, json!({"kind": "시"})), Vec::<u64>::new());
    let error = corpus.filter(json!({"embedding": 1}).as_object().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "no column is named \"embedding\"; there are text, kind, year");
}

#[test]
fn what_is_no_corpus_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Corpus::open(folder.path(), None, ScanFormat::F32, &mut |_| {}).unwrap_err();
    assert!(format!("{error:#}").ends_with("holds no embeddings: expected what `embed` wrote"), "{error:#}");
}

#[test]
fn an_unfinished_corpus_is_told_from_a_whole_one() {
    let folder = folder();
    let refusal = || format!("{:#}", Corpus::open(folder.path(), None, ScanFormat::F32, &mut |_| {}).unwrap_err());
    fs::remove_file(parts::path(folder.path(), 0, 1)).unwrap();
    assert!(refusal().contains("1 of 2 parts are missing, the first part-00000-00001.parquet"), "{}", refusal());
    fs::remove_file(folder.path().join("_parts.json")).unwrap();
    assert!(refusal().contains("no run of `embed` has come to the end of its table"), "{}", refusal());
}

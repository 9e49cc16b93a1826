//! The official files, where `$STS_DATA_DIR` leads to them.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use data::{DataDir, Dataset, Histogram, Statistics, stratified_split};

fn load(spec: &str, folder: &Path) -> Dataset {
    Dataset::load(spec, &DataDir::new(Some(folder.to_owned()))).unwrap()
}

#[test]
fn every_official_row_is_read() {
    let Some(folder) = common::real_data() else { return };
    for (spec, rows, duplicates) in [
        ("klue-sts:train", 11_668, 7),
        ("klue-sts:dev", 519, 0),
        ("kor-sts:train", 5_749, 72),
        ("kor-sts:dev", 1_500, 5),
        ("kor-sts:test", 1_379, 3),
    ] {
        let statistics = Statistics::of(&load(spec, &folder).pairs);
        assert_eq!((statistics.rows, statistics.duplicate_pairs), (rows, duplicates), "{spec}");
        assert_eq!(statistics.scores.unwrap().histogram.total(), rows, "{spec}");
    }
}

#[test]
fn kor_sts_is_read_as_its_lines_stand_quotes_included() {
    let Some(folder) = common::real_data() else { return };
    for (part, quoted) in [("train", 260), ("dev", 128), ("test", 55)] {
        let dataset = load(&format!("kor-sts:{part}"), &folder);
        let text = fs::read_to_string(folder.join(format!("kor-sts/sts-{part}.tsv"))).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines.len(), dataset.pairs.len());
        for (line, pair) in lines.iter().zip(&dataset.pairs) {
            assert_eq!((line[5], line[6]), (pair.sentence1.as_str(), pair.sentence2.as_str()));
            assert_eq!(line[4].parse().ok(), pair.score);
        }
        let with_quote = |pair: &&data::SentencePair| pair.sentence1.contains('"') || pair.sentence2.contains('"');
        assert_eq!(dataset.pairs.iter().filter(with_quote).count(), quoted, "{part}");
    }
}

#[test]
fn ten_percent_of_klue_train_keeps_its_distribution() {
    let Some(folder) = common::real_data() else { return };
    let pairs = load("klue-sts:train", &folder).pairs;
    for seed in 0..20 {
        let split = stratified_split(&pairs, 0.1, seed).unwrap();
        assert_eq!(split.dev.len(), 1_167);
        let rows: HashSet<usize> = split.train.iter().chain(&split.dev).copied().collect();
        assert_eq!((rows.len(), split.train.len() + split.dev.len()), (11_668, 11_668));

        let counts = |rows: &[usize]| Histogram::of(rows.iter().map(|&row| pairs[row].score.unwrap())).counts;
        let whole = Histogram::of(pairs.iter().map(|pair| pair.score.unwrap())).counts;
        for (whole, dev) in whole.into_iter().zip(counts(&split.dev)) {
            assert!((whole as f64 * 0.1 - dev as f64).abs() <= 1.0, "seed {seed}: {dev} of {whole}");
        }

        let mut side: HashMap<[&str; 2], bool> = HashMap::new();
        for (in_dev, row) in split.train.iter().map(|row| (false, row)).chain(split.dev.iter().map(|row| (true, row))) {
            let mut key = [pairs[*row].sentence1.as_str(), pairs[*row].sentence2.as_str()];
            key.sort_unstable();
            assert_eq!(*side.entry(key).or_insert(in_dev), in_dev, "{key:?}");
        }
    }
}

#[test]
fn the_dev_part_of_seed_42_is_the_same_everywhere() {
    let Some(folder) = common::real_data() else { return };
    let dev = stratified_split(&load("klue-sts:train", &folder).pairs, 0.1, 42).unwrap().dev;
    // Printed once by this test.
    assert_eq!((dev[..5].to_vec(), dev.iter().sum::<usize>()), (vec![10, 15, 18, 34, 50], 6_904_333));
}

//! Tables that are drawn at random, made to confuse readers.
#![allow(clippy::unwrap_used)] // A test may panic.

use arrow_array::Array;
use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use tables::{Error, Options, Source, Table};

const PIECES: [&str; 17] =
    ["\"", "\"\"", "\n", "\r\n", "\r", "가", "나다", "a", " ", ",", "\t", ";", "|", "#", "\n\n", "\"a\"", "1"];

fn cell(rng: &mut ChaCha8Rng, is_allowed: impl Fn(&str) -> bool) -> String {
    let count = rng.random_range(0..5);
    (0..count).map(|_| *PIECES.choose(rng).unwrap()).filter(|piece| is_allowed(piece)).collect()
}

/// All cells as text, in batches of a few rows.
fn read(bytes: Vec<u8>, rows: usize) -> Result<Vec<Vec<String>>, Error> {
    let table = Table::open(Source::memory(bytes), &Options::default())?;
    let all: Vec<usize> = (0..table.columns().len()).collect();
    let mut found = Vec::new();
    for batch in table.batches(&all, rows, None)? {
        let batch = batch?;
        let columns = batch.rows.columns().iter().map(tables::texts).collect::<Result<Vec<_>, _>>()?;
        let text = |row: usize| columns.iter().map(|column| column.value(row).to_owned()).collect::<Vec<_>>();
        assert!(columns.iter().all(|column| column.len() == batch.lines.len()));
        found.extend((0..batch.lines.len()).map(text));
    }
    Ok(found)
}

#[test]
fn what_a_spreadsheet_writes_is_read_as_it_was() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for round in 0..4000 {
        let delimiter = *[',', ';', '\t'].choose(&mut rng).unwrap();
        let end = *["\n", "\r\n", "\r"].choose(&mut rng).unwrap();
        let rows: Vec<[String; 3]> =
            (0..rng.random_range(1..8)).map(|_| [(); 3].map(|()| cell(&mut rng, |_| true))).collect();
        let is_plain = |cell: &str| !cell.contains(['"', '\n', '\r', delimiter]);
        let written = |cell: &String, is_quoted: bool| match is_quoted || !is_plain(cell) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.clone(),
        };
        let mut text = ["번호", "문장", "비고"].join(&delimiter.to_string()) + end;
        for row in &rows {
            let cells: Vec<String> = row.iter().map(|cell| written(cell, rng.random_bool(0.2))).collect();
            text += &(cells.join(&delimiter.to_string()) + end);
        }
        // A piece of text is read at a time: what stands on its edge, here or 64 KiB later, is no other.
        let filler = rng.random_bool(0.02).then(|| vec!["가".repeat(21_000), "나".repeat(1000), String::new()]);
        if let Some(filler) = &filler {
            text += &(filler.join(&delimiter.to_string()) + end);
            text += &(filler.join(&delimiter.to_string()) + end);
        }
        let mut expected: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
        expected.extend(filler.iter().chain(&filler).cloned());
        // In tabs, lines that are as wide as the others without quotes are lines: the file does not tell.
        let is_even = text
            .replace('\r', "\n")
            .split('\n')
            .filter(|line| !line.trim().is_empty())
            .all(|line| line.matches(delimiter).count() == 2);
        if delimiter == '\t' && is_even {
            continue;
        }
        let found = read(text.clone().into_bytes(), 1 + round % 5);
        assert_eq!(found.unwrap_or_else(|error| panic!("{text:?}: {error}")), expected, "{text:?}");
    }
}

#[test]
fn lines_of_tabs_are_read_as_they_stand_whatever_quotes_they_have() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for round in 0..4000 {
        let is_allowed = |piece: &str| !piece.contains(['\n', '\r', '\t']);
        let mut rows: Vec<Vec<String>> =
            (0..rng.random_range(1..8)).map(|_| [(); 2].map(|()| cell(&mut rng, is_allowed)).to_vec()).collect();
        rows.push(vec!["말".to_owned(), "그는 \"네\"라고 했다.".to_owned()]); // as no spreadsheet writes it
        let lines: String = rows.iter().map(|row| row.join("\t") + "\n").collect();
        let found = read(format!("번호\t문장\n{lines}").into_bytes(), 1 + round % 5).unwrap();
        assert_eq!(found, rows, "{lines:?}");
    }
}

#[test]
fn no_bytes_end_in_a_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let starts: [&[u8]; 7] = [b"", b"[{", b"{\"a\"", b"sep=;", b"\xFF\xFE", b"PK\x03\x04", "번호,문장\n".as_bytes()];
    for round in 0..20_000 {
        let mut bytes = starts.choose(&mut rng).unwrap().to_vec();
        for _ in 0..rng.random_range(0..12) {
            match rng.random_range(0..4) {
                0 => bytes.push(rng.random()),
                1 => bytes.extend(b"{\"a\": [1, {}], \"b\": null}"),
                _ => bytes.extend(PIECES.choose(&mut rng).unwrap().as_bytes()),
            }
        }
        let first = read(bytes.clone(), 1 + round % 3);
        if let Ok(first) = first {
            assert_eq!(first, read(bytes, 100).unwrap());
        }
    }
}

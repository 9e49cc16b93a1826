//! Any bytes are read or refused, and read alike a second time.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;

// The module alone, so that neither libtorch nor the server is built.
#[path = "../../src/csv/mod.rs"]
#[allow(dead_code, unused_imports)]
mod csv;

use csv::{Error, Options, Rows};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let column = ["", "0", "1", "sentence", "문장"][usize::from(choice) % 5];
    let has_header = [None, Some(true), Some(false)][usize::from(choice) / 5 % 3];
    let options = Options { column: (!column.is_empty()).then(|| column.to_owned()), has_header };
    let Ok(mut rows) = Rows::open(Cursor::new(data), &options) else { return };
    let layout = rows.layout().clone();
    let first: Result<Vec<String>, Error> = rows.by_ref().collect();
    let Ok(first) = first else { return };
    assert!(first.len() <= data.len() + 1, "{} rows of {} bytes", first.len(), data.len());
    assert!(first.iter().all(|row| row.trim() == row && !row.contains('\r')));
    let again: Vec<String> = rows.rewind().expect("it was read before").map(|row| row.expect("as before")).collect();
    assert_eq!(first, again);
    let fresh = Rows::open(Cursor::new(data), &options).expect("it was opened before");
    assert_eq!(*fresh.layout(), layout);
});

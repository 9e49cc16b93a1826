//! Any bytes are read or refused, and read alike a second time, in batches of another size.
#![no_main]

use arrow_array::Array;
use libfuzzer_sys::fuzz_target;
use tables::{Error, Options, Source, Table};

fn rows(table: &Table, index: usize, size: usize) -> Result<Vec<String>, Error> {
    let mut rows = Vec::new();
    for batch in table.batches(&[index], size, None)? {
        let batch = batch?;
        assert!(batch.rows.num_rows() == batch.lines.len() && batch.lines.is_sorted());
        let texts = tables::texts(batch.rows.column(0))?;
        rows.extend((0..texts.len()).map(|row| texts.value(row).to_owned()));
    }
    Ok(rows)
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let asked = ["", "0", "1", "sentence", "문장"][usize::from(choice) % 5];
    let has_header = [None, Some(true), Some(false)][usize::from(choice) / 5 % 3];
    let names = if asked.is_empty() { Vec::new() } else { vec![asked.to_owned()] };
    let options = Options { names, has_header, max_unpacked_bytes: Some(1 << 20), ..Options::default() };
    let Ok(table) = Table::open(Source::memory(data.to_vec()), &options) else { return };
    let column = if asked.is_empty() { table.sentence_column() } else { table.column(asked) };
    let Ok(index) = column.map(|column| column.index) else { return };
    let Ok(first) = rows(&table, index, 7) else { return };
    assert_eq!(first, rows(&table, index, 1000).expect("it was read before"));
    let fresh = Table::open(Source::memory(data.to_vec()), &options).expect("it was opened before");
    assert_eq!(fresh.layout(), table.layout());
});

//! For other engines: an Arrow IPC stream in, the same with the new columns out.

use std::io::{BufReader, BufWriter, Read, Write};

use anyhow::Context;
use arrow_ipc::{reader::StreamReader, writer::StreamWriter};
use model::{Ranges, TextLosses};

use crate::{
    ROWS_AT_ONCE,
    columns::{Added, Columns},
    model::Model,
};

const OUTPUT: &str = "standard output";

/// Adds columns to every batch of a stream, each as soon as it is there. A batch of more than [`ROWS_AT_ONCE`] rows comes
/// out as several. `ranges` are those of a quantized embedding's dimensions. Returns the number of rows, and what the model could not take of their texts.
///
/// # Errors
/// Where the stream is no Arrow IPC stream or ends within a batch, lacks the column, or nobody reads what comes out.
pub fn filter_stream(
    input: impl Read,
    output: impl Write,
    columns: Columns,
    ranges: Ranges,
    model: &Model,
) -> anyhow::Result<(usize, TextLosses)> {
    let reader =
        StreamReader::try_new(BufReader::new(input), None).context("standard input: expected an Arrow IPC stream")?;
    let added = Added::new(columns, &reader.schema(), model.dimensions(), ranges).context("standard input")?;
    let mut writer = StreamWriter::try_new(BufWriter::new(output), added.schema()).context(OUTPUT)?;
    let (mut rows, mut losses) = (0, TextLosses::none(model.tokenizer()));
    for batch in reader {
        let batch = batch.context("standard input")?;
        // Of a batch without rows comes one without rows.
        for start in (0..batch.num_rows().max(1)).step_by(ROWS_AT_ONCE) {
            let part = batch.slice(start, ROWS_AT_ONCE.min(batch.num_rows() - start));
            let (part, lost) = added.append(&part, model, &mut |_| {})?;
            writer.write(&part).context(OUTPUT)?;
            rows += part.num_rows();
            losses += lost;
        }
        writer.flush().context(OUTPUT)?; // whoever waits for this batch may send the next only then
    }
    writer.finish().context(OUTPUT)?;
    Ok((rows, losses))
}

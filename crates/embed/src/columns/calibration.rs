//! The range of each dimension, by which embeddings are quantized: that of the first texts of a table.

use std::{io::Write, path::Path, sync::Arc};

use anyhow::{Context, ensure};
use arrow_array::cast::AsArray;
use ground::Staged;
use model::{Ranges, SentenceEncoder};

use super::{is_text, place, texts};
use crate::{ROWS_AT_ONCE, Settings, input::Table};

/// Texts whose embeddings tell the ranges.
const TEXTS: usize = 10_000;

/// The ranges' file within a folder of parts.
const NAME: &str = "_ranges.json"; // readers of Parquet folders leave out what begins so

impl Settings {
    /// The ranges that all parts of a folder are quantized by: those that it has, else those that were `asked` for, else those
    /// of the first texts of the table. They are kept in the folder, which is made this job's.
    ///
    /// # Errors
    /// Where the folder is another job's or has other ranges than were asked for, or the table cannot be read.
    pub fn ranges(
        &self,
        output: &Path,
        asked: Option<Ranges>,
        table: &Table,
        encoder: &SentenceEncoder,
    ) -> anyhow::Result<Ranges> {
        self.claim(output)?;
        let path = output.join(NAME);
        if !path.exists() {
            let ranges = match &asked {
                Some(ranges) => ranges.clone(),
                None => self.calibrate(table, encoder)?,
            };
            let mut file = Staged::create(&path)?;
            let text = serde_json::to_string(&ranges)? + "\n";
            file.file().write_all(text.as_bytes()).map_err(|cause| file.failed(cause))?;
            match file.commit(false) {
                Ok(()) | Err(ground::Error::Exists { .. }) => {} // another shard's are those of all
                Err(error) => return Err(error.into()),
            }
        }
        let kept = Ranges::read(&path, encoder.dimensions())?;
        let shown = path.display();
        ensure!(
            asked.is_none_or(|asked| asked == kept),
            "{shown}: the folder has other ranges than --ranges: choose another --output or remove the folder"
        );
        Ok(kept)
    }

    fn calibrate(&self, table: &Table, encoder: &SentenceEncoder) -> anyhow::Result<Ranges> {
        let mut sentences: Vec<String> = Vec::new();
        'table: for input in &table.inputs {
            let shown = || input.path.display().to_string();
            let batches = input.batches(&table.schema, ROWS_AT_ONCE, &Arc::default()).with_context(shown)?;
            for batch in batches {
                let batch = batch.with_context(shown)?;
                let column = place(&batch.schema(), &self.columns.texts()[0])?;
                let column = texts(&batch, &[column])?.remove(0);
                let column = column.as_string();
                let rows = (0..batch.num_rows()).filter(|&row| is_text(column, row));
                sentences.extend(rows.map(|row| column.value(row).to_owned()).take(TEXTS - sentences.len()));
                if sentences.len() == TEXTS {
                    break 'table;
                }
            }
        }
        ensure!(!sentences.is_empty(), "the table has no text to take the range of each dimension from: name --ranges");
        ground::say!("ranges: those of the first {} texts", sentences.len());
        if sentences.len() < 100 {
            ground::say!("warning: so few texts tell little of the range of each dimension: name --ranges");
        }
        Ok(Ranges::of(encoder.encode(&sentences)?.rows()))
    }
}

//! A table in, a folder of Parquet parts out.

use std::{fmt, path::PathBuf};

use anyhow::Context;
use arrow_array::RecordBatch;
use model::{TextLosses, runtime};

use crate::{
    ROWS_AT_ONCE,
    columns::{Added, Columns},
    input::{Batches, Table},
    model::Model,
    parts::{self, Part},
    progress::Progress,
    settings::Settings,
    shard::Shard,
};

/// What is to be made.
#[derive(Debug)]
pub struct Job {
    /// The table that is read.
    pub table: Table,
    /// What is added to it.
    pub added: Added,
    /// The folder of the parts.
    pub output: PathBuf,
    /// What they have in common.
    pub settings: Settings,
    /// Which of them are made here.
    pub shard: Shard,
}

/// What a process did of a job.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Parts that were written.
    pub parts: usize,
    /// Their rows.
    pub rows: usize,
    /// Parts of this shard that were there already.
    pub there: usize,
    /// Parts of all shards.
    pub total: usize,
    /// What the model could not take of the texts of those rows.
    pub losses: TextLosses,
    /// Sentences encoded per second, reading and writing included.
    pub sentences_per_second: f64,
    /// The folder.
    pub output: PathBuf,
}

/// Writes the parts of a job's shard that are missing.
///
/// # Errors
/// Where the input cannot be read to its end, a part cannot be written, or the folder holds something else. Parts that were
/// finished stay, and are not made again.
pub fn embed_table(job: &Job, model: &Model) -> anyhow::Result<Outcome> {
    job.settings.claim(&job.output)?;
    job.table.forms().iter().for_each(|form| ground::say!("{form}"));
    match &job.settings.columns {
        Columns::Embedding { text, .. } => ground::say!("texts: column {text:?}"),
        Columns::Score { texts: [a, b], .. } => ground::say!("pairs: columns {a:?} and {b:?}"),
    }
    ground::say!("precision: {} ({})", job.settings.precision, runtime::processor());
    let mut progress = Progress::new(job.table.inputs.iter().map(|input| input.table.bytes()).sum());
    let losses = TextLosses::none(model.tokenizer());
    let mut outcome = Outcome { output: job.output.clone(), losses, ..Outcome::default() };
    let mut counts = Vec::new();
    for (file, input) in job.table.inputs.iter().enumerate() {
        let shown = || input.path.display().to_string();
        let mut rows =
            Rows { batches: input.batches(&job.table.schema, ROWS_AT_ONCE, progress.position())?, rest: None };
        for part in 0.. {
            let Some(first) = rows.next(job.settings.rows_per_part).with_context(shown)? else {
                counts.push(part);
                break;
            };
            let path = parts::path(&job.output, file, part);
            let is_ours = job.shard.has(file, part);
            let is_missing = is_ours && !path.exists();
            outcome.there += usize::from(is_ours && !is_missing);
            let mut under_way = is_missing.then(|| Part::create(&path, job.added.schema())).transpose()?;
            let (mut next, mut count, mut losses) = (Some(first), 0, TextLosses::none(model.tokenizer()));
            while let Some(batch) = next {
                count += batch.num_rows();
                if let Some(part) = &mut under_way {
                    let told = &mut |sentences| progress.add(sentences);
                    let (batch, lost) = job.added.append(&batch, model, told).with_context(shown)?;
                    part.write(&batch)?;
                    losses += lost;
                }
                next = rows.next(job.settings.rows_per_part - count).with_context(shown)?;
            }
            if let Some(part) = under_way {
                part.finish()?;
                (outcome.parts, outcome.rows) = (outcome.parts + 1, outcome.rows + count);
                outcome.losses += losses;
                progress.part(&path, count, losses);
            }
        }
    }
    parts::note_counts(&job.output, &counts)?;
    outcome.total = counts.iter().sum();
    progress.finish();
    outcome.sentences_per_second = progress.sentences_per_second();
    Ok(outcome)
}

/// The rows of a file, in batches that can be cut short.
struct Rows {
    batches: Batches,
    rest: Option<RecordBatch>,
}

impl Rows {
    /// The next batch, of at most `most` rows; none at the end, or where none are asked for.
    fn next(&mut self, most: usize) -> anyhow::Result<Option<RecordBatch>> {
        if most == 0 {
            return Ok(None);
        }
        let batch = loop {
            match self.rest.take().map(Ok).or_else(|| self.batches.next()) {
                Some(batch) => {
                    let batch = batch?;
                    if batch.num_rows() > 0 {
                        break batch;
                    }
                }
                None => return Ok(None),
            }
        };
        if batch.num_rows() > most {
            self.rest = Some(batch.slice(most, batch.num_rows() - most));
            return Ok(Some(batch.slice(0, most)));
        }
        Ok(Some(batch))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parts, rows, there, total, losses, sentences_per_second, output } = self;
        let s = if *parts == 1 { "" } else { "s" };
        write!(f, "{}: {parts} part{s} with {rows} rows written", output.display())?;
        if *parts > 0 {
            write!(f, ", {sentences_per_second:.0} sentences/s{}", losses.appended())?;
        }
        if *there > 0 {
            write!(f, "; there already: {there}")?;
        }
        if *parts + there == 0 && *total > 0 {
            write!(f, ": none of {total} is this shard's (smaller ones: --rows-per-part)")?;
        }
        Ok(())
    }
}

//! A folder of embedded rows that is searched: the best by cosine, exactly.
//!
//! What a search reads lies beside the parts in an index, made once: the embeddings at length 1, in f32 and in the format
//! that is scanned, and the other columns. All of it is mapped into memory, so that it may be larger than that, and many
//! processes share it.

mod filter;
mod format;
mod index;
mod mapped;
mod search;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use arrow_array::RecordBatch;
use arrow_json::{WriterBuilder, writer::JsonArray};
use arrow_schema::SchemaRef;
use serde_json::{Map, Value};

pub use self::{
    filter::{Filter, FilterError},
    format::ScanFormat,
    search::Hit,
};
use self::{format::Scanned, index::Index, mapped::Mapped};
use crate::{columns::Columns, parts, settings::Settings};

/// The index's folder within that of the parts; readers of Parquet folders leave out what begins so.
const INDEX: &str = "_index";

/// Rows with embeddings, ready to be searched.
#[derive(Debug)]
pub struct Corpus {
    settings: Settings,
    text: String,
    index: Index,
    vectors: Mapped<f32>, // (rows, dimensions), each of length 1
    scanned: Scanned,
    batches: Vec<RecordBatch>,
    starts: Vec<usize>, // of the batches, and the end
}

impl Corpus {
    /// Opens what `embed` wrote to `dir`. Its index is made where there is none of these parts in this format, under
    /// `index` or else within `dir`; `told` hears of that, once before and then with the rows so far.
    ///
    /// # Errors
    /// Where the folder holds no embeddings, a part is missing or cannot be read, or the index cannot be written.
    pub fn open(
        dir: &Path,
        index: Option<&Path>,
        format: ScanFormat,
        told: &mut dyn FnMut(usize),
    ) -> anyhow::Result<Self> {
        let shown = dir.display();
        let settings = Settings::read(dir)?;
        let settings =
            settings.with_context(|| format!("{shown}: holds no embeddings: expected what `embed` wrote"))?;
        let Columns::Embedding { text, name, .. } = &settings.columns else {
            bail!("{shown}: holds scores of pairs, expected embeddings");
        };
        let path = index.map_or_else(|| dir.join(INDEX), Path::to_owned);
        parts::check_whole(dir)?;
        let parts = index::parts(dir)?;
        let current = || Index::current(&path, &parts, &settings, format);
        let index = match current()? {
            Some(index) => index,
            None => {
                // One process at a time; who waited finds what the other made.
                let _lock = lock(&path)?;
                match current()? {
                    Some(index) => index,
                    None => Index::make(&path, dir, parts.clone(), name, &settings, format, told)?,
                }
            }
        };
        let width = settings.dimensions;
        let vectors = Mapped::open(&path.join(index::VECTORS), index.rows * width)?;
        let scanned = Scanned::open(&path, format, &index, width)?;
        let batches = index::rows(&path)?;
        let mut starts = vec![0];
        starts.extend(batches.iter().scan(0, |end, batch| {
            *end += batch.num_rows();
            Some(*end)
        }));
        ensure!(starts.last() == Some(&index.rows), "{}: {}", path.join(index::ROWS).display(), index::DAMAGED);
        let text = text.clone();
        Ok(Self { settings, text, index, vectors, scanned, batches, starts })
    }

    /// What the parts were made by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Rows that can be found: those with a text.
    pub fn rows(&self) -> usize {
        self.index.rows
    }

    /// The column of the texts that were embedded.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The columns of a row, and after them `index`, its number in the table.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.batches.first().map(RecordBatch::schema)
    }

    /// The columns of a row that was found, and its number in the table.
    ///
    /// # Errors
    /// Where a column is of a type that JSON has no form for.
    pub fn row(&self, hit: &Hit) -> anyhow::Result<(u64, Map<String, Value>)> {
        let batch = self.starts.partition_point(|&start| start <= hit.row) - 1;
        let row = self.batches[batch].slice(hit.row - self.starts[batch], 1);
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
        writer.write(&row)?;
        writer.finish()?;
        let mut rows: Vec<Map<String, Value>> = serde_json::from_slice(&writer.into_inner())?;
        let mut row = rows.pop().context("a row was asked for")?;
        let number = row.remove(index::NUMBER).and_then(|number| number.as_u64()).context("a row has a number")?;
        Ok((number, row))
    }
}

/// Waits for the lock of an index; it is given back with the file.
fn lock(index: &Path) -> anyhow::Result<File> {
    let mut name = index.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let path = index.with_file_name(name);
    let open = || -> std::io::Result<File> {
        let file = File::options().write(true).create(true).truncate(false).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    open().with_context(|| format!("{} (another place for the index: --corpus-index)", path.display()))
}

/// Where a part lies, and what tells it from another of the same name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct PartFile {
    name: PathBuf,
    bytes: u64,
    modified: u128, // nanoseconds since 1970
}

#[cfg(test)]
mod tests;

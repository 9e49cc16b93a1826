//! A folder of embedded rows that is searched: the best by cosine, exactly.
//!
//! What a search reads lies beside the parts in an index, made once: the embeddings at length 1, in f32 and in the format
//! that is scanned, and the other columns. All of it is mapped into memory, so that it may be larger than that, and many
//! processes share it.

mod clock;
mod filter;
mod format;
mod header;
mod index;
mod json;
mod mapped;
mod search;
mod store;

use std::path::Path;

use anyhow::{Context, bail};
use arrow_array::{RecordBatch, cast::AsArray, types::UInt64Type};
use arrow_cast::cast;
use arrow_schema::{DataType, FieldRef};
use serde_json::{Map, Value, value::RawValue};

pub use self::{
    filter::{Filter, FilterError},
    format::ScanFormat,
    search::Hit,
};
use self::{
    format::Scanned,
    header::{Contents, Source},
    mapped::Mapped,
};
use crate::{
    columns::{Columns, Dtype},
    fields, parts,
    settings::Settings,
};

/// The indexes' folder within that of the parts; readers of Parquet folders leave out what begins so.
const INDEX: &str = "_index";

/// Openings of an index that another process removes meanwhile, because its parts are being replaced.
const TRIES: usize = 5;

/// Rows with embeddings, ready to be searched.
#[derive(Debug)]
pub struct Corpus {
    settings: Settings,
    text: String,
    contents: Contents,
    vectors: Mapped<f32>, // (rows, dimensions), each of length 1
    scanned: Scanned,
    batches: Vec<RecordBatch>, // the other columns, and last the row's number
    starts: Vec<usize>,        // of the batches, and the end
}

/// A row that was found.
#[derive(Debug)]
pub struct Row {
    /// Its number in the table, from 0.
    pub index: u64,
    /// The text that was embedded.
    pub text: String,
    /// All of its columns but the embedding, in the table's order, the text among them: a JSON object.
    pub columns: Box<RawValue>,
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
        let store = index.map_or_else(|| dir.join(INDEX), Path::to_owned);
        for _ in 0..TRIES {
            let (settings, text, source) = source(dir, format)?;
            let (path, contents) = store::find_or_make(&store, dir, &source, told)?;
            match Self::load(settings, text, &path, format, contents) {
                Err(_) if !path.exists() => {} // another process has made that of newer parts
                loaded => return loaded,
            }
        }
        bail!("{}: its parts are being replaced: start again when `embed` is done", dir.display())
    }

    /// Maps the files of an index.
    fn load(
        settings: Settings,
        text: String,
        path: &Path,
        format: ScanFormat,
        contents: Contents,
    ) -> anyhow::Result<Self> {
        let width = settings.dimensions;
        let vectors = Mapped::open(&path.join(index::VECTORS), contents.rows * width)?;
        let scanned = Scanned::open(path, format, contents.rows, width)?;
        let batches = index::rows(path, &contents)?;
        let mut starts = vec![0];
        starts.extend(batches.iter().scan(0, |end, batch| {
            *end += batch.num_rows();
            Some(*end)
        }));
        Ok(Self { settings, text, contents, vectors, scanned, batches, starts })
    }

    /// What the parts were made by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Rows that can be found: those with a text.
    pub fn rows(&self) -> usize {
        self.contents.rows
    }

    /// The columns of a row: those of the table but the embedding.
    fn columns(&self) -> Option<&[FieldRef]> {
        self.batches.first().map(|batch| {
            let fields = batch.schema_ref().fields();
            &fields[..fields.len() - 1]
        })
    }

    /// The filter `{"column": value, …}`, of values, lists of them and bounds; `/openapi.json` describes it.
    ///
    /// # Errors
    /// Where a column is not there, or never has such a value.
    pub fn filter(&self, conditions: &Map<String, Value>) -> Result<Filter, FilterError> {
        self.columns().map_or_else(|| Ok(Filter::default()), |columns| Filter::new(conditions, columns))
    }

    /// The row that was found.
    ///
    /// # Errors
    /// Where a column is nested beyond what JSON's readers take.
    pub fn row(&self, hit: &Hit) -> anyhow::Result<Row> {
        let place = self.starts.partition_point(|&start| start <= hit.row) - 1;
        let (batch, row) = (&self.batches[place], hit.row - self.starts[place]);
        let last = batch.num_columns() - 1;
        let index = batch.column(last).as_primitive::<UInt64Type>().value(row);
        let (column, _) = fields::find(batch.schema_ref().fields(), &self.text).context("the rows have their text")?;
        let text = batch.column(column).slice(row, 1);
        let text = cast(&text, &DataType::Utf8)?.as_string::<i32>().value(0).to_owned();
        Ok(Row { index, text, columns: RawValue::from_string(json::object(batch, last, row))? })
    }
}

/// The settings of a folder, the column of its texts, and what its index is made from.
fn source(dir: &Path, format: ScanFormat) -> anyhow::Result<(Settings, String, Source)> {
    let shown = dir.display();
    let settings = Settings::read(dir)?;
    let settings = settings.with_context(|| format!("{shown}: holds no embeddings: expected what `embed` wrote"))?;
    let Columns::Embedding { text, name, dtype } = &settings.columns else {
        bail!("{shown}: holds scores of pairs, expected embeddings");
    };
    if let Dtype::Quantized(quantization) = dtype {
        bail!(
            "{shown}: its embeddings are quantized ({quantization}), which are for other programs: expected what `embed` \
             writes without --quantize"
        );
    }
    let text = text.clone();
    parts::check_whole(dir)?;
    let (model, has_scale) = (settings.model_sha256.clone(), *dtype == Dtype::Int8);
    let source = Source::new(header::parts(dir)?, model, name.clone(), has_scale, settings.dimensions, format);
    Ok((settings, text, source))
}

#[cfg(test)]
mod tests;

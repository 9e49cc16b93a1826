//! The columns that are added to a table: an embedding of a text, or the score of two.

mod calibration;
mod embeddings;

use std::{fmt, str::FromStr, sync::Arc};

use anyhow::{bail, ensure};
use arrow_array::{Array, ArrayRef, Float64Array, LargeStringArray, RecordBatch, cast::AsArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use data::score_of;
use model::{Quantization, Ranges, TextLosses};
use serde::{Deserialize, Serialize};

pub(crate) use self::embeddings::embedding_columns;
use crate::{fields, model::Model};

/// Number format of the embeddings that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 4 bytes a number.
    #[default]
    F32,
    /// 2 bytes a number.
    F16,
    /// 1 byte a number, times the row's scale, which stands in a column of its own.
    Int8,
    /// A byte or a bit a number, as sentence-transformers gives it.
    Quantized(Quantization),
}

impl Dtype {
    /// Those that `--dtype` names.
    const NAMED: [Self; 3] = [Self::F32, Self::F16, Self::Int8];

    fn arrow(self) -> DataType {
        match self {
            Self::F32 => DataType::Float32,
            Self::F16 => DataType::Float16,
            Self::Int8 => DataType::Int8,
            Self::Quantized(quantization) if quantization.is_signed() => DataType::Int8,
            Self::Quantized(_) => DataType::UInt8,
        }
    }

    /// Values that stand for an embedding of `width` numbers.
    fn values(self, width: usize) -> usize {
        match self {
            Self::Quantized(quantization) => quantization.bytes(width),
            _ => width,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => f.pad("f32"),
            Self::F16 => f.pad("f16"),
            Self::Int8 => f.pad("int8"),
            Self::Quantized(quantization) => f.pad(&format!("quantized to {quantization}")),
        }
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::NAMED.into_iter().find(|dtype| dtype.to_string() == text);
        named.ok_or_else(|| "expected f32, f16 or int8".to_owned())
    }
}

/// What is added to each row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Columns {
    /// `name`, a fixed-size list: the embedding of the text in column `text`.
    Embedding {
        /// Column of the text.
        text: String,
        /// Name of the new column.
        name: String,
        /// Its numbers.
        dtype: Dtype,
    },
    /// `name`, f64: 5 · cosine of the texts in two columns, or 5 times a cross-encoder's score.
    Score {
        /// Columns of the texts.
        texts: [String; 2],
        /// Name of the new column.
        name: String,
    },
}

impl Columns {
    /// Whether embeddings are quantized by the range of each dimension.
    pub fn needs_ranges(&self) -> bool {
        matches!(self, Self::Embedding { dtype: Dtype::Quantized(quantization), .. } if quantization.has_ranges())
    }

    /// The columns of the texts.
    pub(crate) fn texts(&self) -> &[String] {
        match self {
            Self::Embedding { text, .. } => std::slice::from_ref(text),
            Self::Score { texts, .. } => texts,
        }
    }
}

/// Adds columns to the batches of one table. A row whose text is null or blank gets null.
#[derive(Debug)]
pub struct Added {
    columns: Columns,
    places: Vec<usize>, // of the texts
    width: usize,
    ranges: Ranges, // of each dimension, where embeddings are quantized by them
    schema: SchemaRef,
}

impl Added {
    /// For a table with these columns, and embeddings of `width` numbers; `ranges` are those of the dimensions where the
    /// embeddings are [quantized by them](Columns::needs_ranges).
    ///
    /// # Errors
    /// Where a column of the texts is missing or holds no text, or a new one is there already.
    pub fn new(columns: Columns, table: &Schema, width: usize, ranges: Ranges) -> anyhow::Result<Self> {
        let places = columns.texts().iter().map(|text| place(table, text)).collect::<Result<_, _>>()?;
        let added = match &columns {
            Columns::Embedding { name, dtype, .. } => {
                // The name that the Parquet format has for it.
                let element = Arc::new(Field::new("element", dtype.arrow(), false));
                let list =
                    Field::new(name, DataType::FixedSizeList(element, i32::try_from(dtype.values(width))?), true);
                let scale = (*dtype == Dtype::Int8).then(|| Field::new(scale_of(name), DataType::Float32, true));
                [Some(list), scale].into_iter().flatten().collect()
            }
            Columns::Score { name, .. } => vec![Field::new(name, DataType::Float64, true)],
        };
        for field in &added {
            let name = field.name();
            let is_new = fields::find(table.fields(), name).is_none();
            ensure!(is_new, "the table has a column {name:?} already: name the new one by --output-column");
        }
        let fields = table.fields().iter().cloned().chain(added.into_iter().map(Arc::new));
        let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), table.metadata().clone());
        Ok(Self { columns, places, width, ranges, schema: Arc::new(schema) })
    }

    /// The table's columns and the new ones.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A batch of rows with their new columns, and what the model could not take of their texts; `progress` is told of the
    /// sentences that are done.
    pub fn append(
        &self,
        batch: &RecordBatch,
        model: &Model,
        progress: &mut dyn FnMut(usize),
    ) -> anyhow::Result<(RecordBatch, TextLosses)> {
        let texts = texts(batch, &self.places)?;
        let texts: Vec<&LargeStringArray> = texts.iter().map(|texts| texts.as_string()).collect();
        // What is there to encode on every side.
        let rows: Vec<usize> =
            (0..batch.num_rows()).filter(|&row| texts.iter().all(|side| is_text(side, row))).collect();
        let (added, losses) = match (&self.columns, model.sentence_encoder()) {
            (Columns::Embedding { dtype, .. }, Some(encoder)) => {
                let sentences: Vec<&str> = rows.iter().map(|&row| texts[0].value(row)).collect();
                let (embeddings, losses) = encoder.encode_with_losses(&sentences, progress)?;
                let (embeddings, count) = (embeddings.values(), batch.num_rows());
                (embedding_columns(embeddings, &rows, count, self.width, *dtype, &self.ranges)?, losses)
            }
            (Columns::Embedding { .. }, None) => bail!("a cross-encoder gives no embeddings"),
            (Columns::Score { .. }, _) => {
                let pairs: Vec<[&str; 2]> =
                    rows.iter().map(|&row| [0, 1].map(|side: usize| texts[side].value(row))).collect();
                let (similarities, losses) = model.similarities(&pairs, progress)?;
                let mut column = vec![None; batch.num_rows()];
                for (&row, similarity) in rows.iter().zip(similarities) {
                    column[row] = Some(score_of(similarity));
                }
                (vec![Arc::new(Float64Array::from(column)) as ArrayRef], losses)
            }
        };
        let columns = batch.columns().iter().cloned().chain(added).collect();
        Ok((RecordBatch::try_new(self.schema.clone(), columns)?, losses))
    }
}

/// The columns at these places as text.
fn texts(batch: &RecordBatch, places: &[usize]) -> anyhow::Result<Vec<ArrayRef>> {
    Ok(places.iter().map(|&place| cast(batch.column(place), &DataType::LargeUtf8)).collect::<Result<_, _>>()?)
}

/// Whether there is anything to encode.
fn is_text(side: &LargeStringArray, row: usize) -> bool {
    !side.is_null(row) && !side.value(row).trim().is_empty()
}

/// The column that holds the scales of an embedding column in int8.
pub(crate) fn scale_of(name: &str) -> String {
    format!("{name}_scale")
}

/// The place of a column of text.
fn place(table: &Schema, name: &str) -> anyhow::Result<usize> {
    let Some((place, field)) = fields::find(table.fields(), name) else {
        bail!("no column is named {name:?}; there are {}", fields::names(table.fields()));
    };
    let held = field.data_type();
    ensure!(tables::is_text(held), "column {name:?} holds {}, expected text", tables::in_words(held));
    Ok(place)
}

//! The columns that are added to a table: an embedding of a text, or the score of two.

mod embeddings;

use std::{fmt, str::FromStr, sync::Arc};

use anyhow::{bail, ensure};
use arrow_array::{Array, ArrayRef, Float64Array, LargeStringArray, RecordBatch, cast::AsArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use data::score_of;
use model::{SentenceEncoder, SimilarityFunction, TextLosses};
use serde::{Deserialize, Serialize};

pub(crate) use self::embeddings::embedding_columns;
use crate::fields;

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
}

impl Dtype {
    const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Int8];

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    fn arrow(self) -> DataType {
        match self {
            Self::F32 => DataType::Float32,
            Self::F16 => DataType::Float16,
            Self::Int8 => DataType::Int8,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == text).ok_or_else(|| "expected f32, f16 or int8".to_owned())
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
    /// `name`, f64: 5 · cosine of the texts in two columns.
    Score {
        /// Columns of the texts.
        texts: [String; 2],
        /// Name of the new column.
        name: String,
    },
}

/// Adds columns to the batches of one table. A row whose text is null or blank gets null.
#[derive(Debug)]
pub struct Added {
    columns: Columns,
    places: Vec<usize>, // of the texts
    width: usize,
    schema: SchemaRef,
}

impl Added {
    /// For a table with these columns, and embeddings of `width` numbers.
    ///
    /// # Errors
    /// Where a column of the texts is missing or holds no text, or a new one is there already.
    pub fn new(columns: Columns, table: &Schema, width: usize) -> anyhow::Result<Self> {
        let texts = match &columns {
            Columns::Embedding { text, .. } => std::slice::from_ref(text),
            Columns::Score { texts, .. } => texts.as_slice(),
        };
        let places = texts.iter().map(|text| place(table, text)).collect::<Result<_, _>>()?;
        let added = match &columns {
            Columns::Embedding { name, dtype, .. } => {
                // The name that the Parquet format has for it.
                let element = Arc::new(Field::new("element", dtype.arrow(), false));
                let list = Field::new(name, DataType::FixedSizeList(element, i32::try_from(width)?), true);
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
        Ok(Self { columns, places, width, schema: Arc::new(schema) })
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
        encoder: &SentenceEncoder,
        progress: &mut dyn FnMut(usize),
    ) -> anyhow::Result<(RecordBatch, TextLosses)> {
        let texts: Vec<ArrayRef> = self
            .places
            .iter()
            .map(|&place| cast(batch.column(place), &DataType::LargeUtf8))
            .collect::<Result<_, _>>()?;
        let texts: Vec<&LargeStringArray> = texts.iter().map(|texts| texts.as_string()).collect();
        // What is there to encode on every side.
        let is_text = |row: usize| texts.iter().all(|side| !side.is_null(row) && !side.value(row).trim().is_empty());
        let rows: Vec<usize> = (0..batch.num_rows()).filter(|&row| is_text(row)).collect();
        let sentences: Vec<&str> = texts.iter().flat_map(|side| rows.iter().map(|&row| side.value(row))).collect();
        let (embeddings, losses) = encoder.encode_with_losses(&sentences, progress)?;
        let embeddings = embeddings.values(); // (sides · rows, width)
        let added = match &self.columns {
            Columns::Embedding { dtype, .. } => {
                embedding_columns(embeddings, &rows, batch.num_rows(), self.width, *dtype)?
            }
            Columns::Score { .. } => {
                let (firsts, seconds) = embeddings.split_at(rows.len() * self.width);
                let pairs = firsts.chunks_exact(self.width).zip(seconds.chunks_exact(self.width));
                let mut column = vec![None; batch.num_rows()];
                for (&row, (first, second)) in rows.iter().zip(pairs) {
                    column[row] = Some(score_of(SimilarityFunction::Cosine.of(first, second)));
                }
                vec![Arc::new(Float64Array::from(column)) as ArrayRef]
            }
        };
        let columns = batch.columns().iter().cloned().chain(added).collect();
        Ok((RecordBatch::try_new(self.schema.clone(), columns)?, losses))
    }
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

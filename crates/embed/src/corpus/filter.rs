//! Which rows a search may find.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Datum, Float64Array, Int64Array, RecordBatch, Scalar, StringArray, UInt64Array,
};
use arrow_cast::cast;
use arrow_ord::cmp::eq;
use arrow_schema::{DataType, SchemaRef};
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::index::NUMBER;

/// Columns with the value that each has to have.
#[derive(Debug, Default)]
pub struct Filter(Vec<Condition>);

#[derive(Debug)]
struct Condition {
    column: usize,
    value: Option<Scalar<ArrayRef>>, // `None`: null
}

/// Why a filter does not serve.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// There is no such column.
    #[error("no column is named {name:?}; there are {columns}")]
    NoColumn {
        /// The name.
        name: String,
        /// Those that there are.
        columns: String,
    },
    /// The column has no such values.
    #[error("column {name:?} holds {kind}, which {value} is not")]
    Kind {
        /// The column.
        name: String,
        /// What it holds, in words.
        kind: String,
        /// What was asked for.
        value: Value,
    },
}

impl Filter {
    /// The filter `{"column": value, …}`, for rows with these columns.
    ///
    /// # Errors
    /// Where a column is not there, or never has such a value.
    pub fn new(conditions: &Map<String, Value>, schema: Option<&SchemaRef>) -> Result<Self, FilterError> {
        let Some(schema) = schema else { return Ok(Self::default()) };
        let condition = |(name, value): (&String, &Value)| {
            let found = schema.column_with_name(name).filter(|(_, field)| field.name() != NUMBER);
            let Some((column, field)) = found else {
                let names = schema.fields().iter().map(|field| field.name().as_str()).filter(|name| *name != NUMBER);
                return Err(FilterError::NoColumn {
                    name: name.clone(),
                    columns: names.collect::<Vec<_>>().join(", "),
                });
            };
            let kind = field.data_type();
            let misfit = || FilterError::Kind { name: name.clone(), kind: in_words(kind), value: value.clone() };
            let value =
                if value.is_null() { None } else { Some(Scalar::new(of_kind(value, kind).ok_or_else(misfit)?)) };
            Ok(Condition { column, value })
        };
        conditions.iter().map(condition).collect::<Result<_, _>>().map(Self)
    }

    /// For each row whether it passes; `None` where all do.
    pub(super) fn mask(&self, batches: &[RecordBatch]) -> Option<Vec<bool>> {
        if self.0.is_empty() {
            return None;
        }
        let passes = |batch: &RecordBatch| {
            let mut mask = vec![true; batch.num_rows()];
            for Condition { column, value } in &self.0 {
                let column = batch.column(*column);
                let found = match value {
                    None => (0..column.len()).map(|row| Some(column.is_null(row))).collect::<BooleanArray>(),
                    // Its value was brought to the column's type.
                    Some(value) => eq(column as &dyn Datum, value).expect("both are of one type"),
                };
                for (mask, found) in mask.iter_mut().zip(&found) {
                    *mask &= found == Some(true);
                }
            }
            mask
        };
        Some(batches.par_iter().flat_map_iter(passes).collect())
    }
}

fn in_words(kind: &DataType) -> String {
    use DataType::{Boolean, Dictionary, LargeUtf8, Utf8, Utf8View};
    match kind {
        Dictionary(_, held) => in_words(held),
        Utf8 | LargeUtf8 | Utf8View => "text".to_owned(),
        Boolean => "true or false".to_owned(),
        kind if kind.is_integer() => format!("whole numbers ({kind})"),
        kind if kind.is_numeric() => format!("numbers ({kind})"),
        kind => kind.to_string(),
    }
}

/// A value of a column's type, if it has such.
fn of_kind(value: &Value, kind: &DataType) -> Option<ArrayRef> {
    use DataType::{Boolean, Dictionary, LargeUtf8, Utf8, Utf8View};
    let held = match kind {
        Dictionary(_, held) => held,
        kind => kind,
    };
    let one: ArrayRef = match value {
        Value::Bool(value) if *held == Boolean => Arc::new(BooleanArray::from(vec![*value])),
        Value::String(value) if matches!(held, Utf8 | LargeUtf8 | Utf8View) => {
            Arc::new(StringArray::from(vec![value.as_str()]))
        }
        Value::Number(value) if held.is_numeric() => match (value.as_i64(), value.as_u64(), value.as_f64()) {
            (Some(value), ..) => Arc::new(Int64Array::from(vec![value])),
            (_, Some(value), _) => Arc::new(UInt64Array::from(vec![value])),
            (.., Some(value)) => Arc::new(Float64Array::from(vec![value])),
            _ => return None,
        },
        _ => return None,
    };
    let fitted = cast(&one, kind).ok().filter(|fitted| fitted.null_count() == 0)?;
    // 2.5 is no integer, and 300 none of 8 bits. What f32 makes of 0.1 is what the column has.
    let is_float = matches!(held, DataType::Float16 | DataType::Float32 | DataType::Float64);
    let is_same = is_float || eq(&cast(&fitted, one.data_type()).ok()?, &one).ok()?.value(0);
    is_same.then_some(fitted)
}

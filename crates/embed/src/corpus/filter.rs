//! Which rows a search may find: `{"column": value, …}`, read once and then held against every row.

mod number;
mod wanted;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, FieldRef};
use rayon::prelude::*;
use serde_json::{Map, Value};

use self::wanted::{Operator, Test};
use super::clock::Clock;
use crate::fields;

/// Conditions on columns; a row passes that meets all of them.
#[derive(Debug, Default)]
pub struct Filter(Vec<Condition>);

#[derive(Debug)]
struct Condition {
    column: usize,
    /// Whether null passes.
    null: bool,
    /// What passes beside it.
    test: Test,
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
    #[error("column {name:?} holds {kind}: expected {expected}, not {value}")]
    Kind {
        /// The column.
        name: String,
        /// What it holds, in words.
        kind: &'static str,
        /// What could be asked for.
        expected: &'static str,
        /// What was.
        value: String,
    },
    /// An object that is no range.
    #[error("column {name:?}: expected bounds by gte, gt, lte or lt, such as {{\"gte\": 4}}, not {value}")]
    Operator {
        /// The column.
        name: String,
        /// What there was.
        value: String,
    },
}

/// Characters of a value that a message repeats.
const SHOWN: usize = 80;

impl Filter {
    /// The filter `{"column": value, …}`, for rows with these columns.
    ///
    /// # Errors
    /// Where a column is not there, or never has such a value.
    pub(super) fn new(conditions: &Map<String, Value>, columns: &[FieldRef]) -> Result<Self, FilterError> {
        let condition = |(name, value): (&String, &Value)| {
            let Some((column, field)) = fields::find(columns, name) else {
                return Err(FilterError::NoColumn { name: name.clone(), columns: fields::names(columns) });
            };
            Condition::new(column, field.data_type(), name, value)
        };
        conditions.iter().map(condition).collect::<Result<_, _>>().map(Self)
    }

    /// For each row whether it passes; `None` where all do.
    pub(super) fn mask(&self, batches: &[RecordBatch]) -> Option<Vec<bool>> {
        if self.0.is_empty() {
            return None;
        }
        let mut mask = vec![false; batches.iter().map(RecordBatch::num_rows).sum()];
        let mut rest = mask.as_mut_slice();
        let mut own = |batch: &RecordBatch| rest.split_off_mut(..batch.num_rows()).expect("all rows have a place");
        let places: Vec<&mut [bool]> = batches.iter().map(&mut own).collect();
        batches.par_iter().zip(places).for_each(|(batch, mask)| {
            let masks = self.0.iter().map(|condition| condition.mask(batch));
            let all = masks.reduce(|all, mask| &all & &mask).expect("there is a condition");
            all.set_indices().for_each(|row| mask[row] = true);
        });
        Some(mask)
    }
}

impl Condition {
    fn new(column: usize, kind: &DataType, name: &str, value: &Value) -> Result<Self, FilterError> {
        let kind = match kind {
            DataType::Dictionary(_, held) => held,
            kind => kind,
        };
        let misfit = |value: &Value, expected: &'static str| FilterError::Kind {
            name: name.to_owned(),
            kind: tables::in_words(kind),
            expected,
            value: shown(value),
        };
        let example = example(kind);
        match value {
            Value::Object(bounds) => {
                let wrong = |value: Value| FilterError::Operator { name: name.to_owned(), value: shown(&value) };
                if bounds.is_empty() {
                    return Err(wrong(value.clone()));
                }
                let mut read = Vec::new();
                for (operator, bound) in bounds {
                    let only = || Value::Object([(operator.clone(), bound.clone())].into_iter().collect());
                    let operator = Operator::of(operator).ok_or_else(|| wrong(only()))?;
                    read.push((operator, bound));
                }
                if !has_order(kind) {
                    return Err(misfit(value, example));
                }
                let test = Test::within(kind, &read).map_err(|bound| misfit(bound, example))?;
                Ok(Self { column, null: false, test })
            }
            Value::Array(values) => {
                let null = values.iter().any(Value::is_null);
                let others: Vec<&Value> = values.iter().filter(|value| !value.is_null()).collect();
                let test = Test::listed(kind, &others).map_err(|value| misfit(value, example))?;
                Ok(Self { column, null, test })
            }
            Value::Null => Ok(Self { column, null: true, test: Test::Nothing }),
            value => {
                let test = Test::listed(kind, &[value]).map_err(|value| misfit(value, example))?;
                Ok(Self { column, null: false, test })
            }
        }
    }

    fn mask(&self, batch: &RecordBatch) -> BooleanBuffer {
        let passes: BooleanArray = self.test.of(batch.column(self.column));
        // Null in the mask is null in JSON too.
        let (values, nulls) = passes.into_parts();
        match nulls {
            None => values,
            Some(nulls) if self.null => &values | &!nulls.inner(),
            Some(nulls) => &values & nulls.inner(),
        }
    }
}

/// What can be asked of a column, for a message.
fn example(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "true, false, null or a list of them",
        kind if tables::is_text(kind) => "a text or a number, a list of them, or bounds",
        kind if kind.is_integer() => "one such as 4, a list of them, or bounds",
        kind if kind.is_numeric() => "one such as 4.5, a list of them, or bounds",
        kind => Clock::of(kind).map_or("null, since nothing else is compared", |clock| clock.example()),
    }
}

fn has_order(kind: &DataType) -> bool {
    tables::is_text(kind) || kind.is_numeric() || Clock::of(kind).is_some()
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;

//! Which column of a table holds the sentences, by its name or by what its values look like.

use std::collections::HashSet;

use arrow_array::{Array, ArrayRef, RecordBatch};

use crate::{
    error::{Candidate, Error},
    kinds::{Kind, kind},
    names::{self, SentenceRank},
    values::{is_flat, is_text, texts},
    words::{cut, list},
};

/// Of two columns, the one whose values are this much of the other's comes near it.
const NEAR: f64 = 0.5;
/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its number, from 0.
    pub index: usize,
    /// Its name in the header, if there is one.
    pub name: Option<String>,
}

impl Column {
    /// Its name, else its number.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.index.to_string())
    }
}

/// The column that was asked for: by its name, else by its number, from 0.
pub(crate) fn find(columns: &[Column], asked: &str) -> Result<usize, Error> {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_deref().unwrap_or_default()).collect();
    let by_number = || asked.trim().parse().ok().filter(|&index| index < columns.len());
    names::find(names.iter().copied(), asked).or_else(by_number).ok_or_else(|| Error::NoColumn {
        asked: cut(asked),
        found: match columns.iter().any(|column| column.name.is_some()) {
            true => list(names.iter().copied()),
            false => format!("no header, and columns 0 to {}", columns.len().max(1) - 1),
        },
    })
}

/// How much a column's values look like sentences.
struct Look {
    index: usize,
    /// Mean length in characters, times the share of different ones; 0 where most values are no words.
    weight: f64,
}

/// The column of the sentences, as the first rows of the table show it.
pub(crate) fn choose(columns: &[Column], rows: &RecordBatch) -> Result<usize, Error> {
    if let [only] = columns
        && is_flat(rows.column(only.index).data_type())
    {
        return Ok(only.index);
    }
    let candidates: Vec<usize> = (0..columns.len()).filter(|&index| is_text(rows.column(index).data_type())).collect();
    let name = |index: usize| columns[index].name.as_deref().unwrap_or_default();
    let rank = |index: usize| names::sentence_rank(name(index));
    if let Some(first) = candidates
        .iter()
        .copied()
        .filter(|&index| matches!(rank(index), Some(SentenceRank::First(_))))
        .min_by_key(|&index| rank(index))
    {
        return Ok(first);
    }
    // Known names, then those like them, then any that are not known for something else, then any.
    let tiers: [&dyn Fn(usize) -> bool; 4] = [
        &|index| rank(index) == Some(SentenceRank::Known),
        &|index| rank(index) == Some(SentenceRank::Like),
        &|index| rank(index).is_none() && !names::is_other(name(index)),
        &|_| true,
    ];
    for (tier, is_in) in tiers.iter().enumerate() {
        let tier_columns: Vec<usize> = candidates.iter().copied().filter(|&index| is_in(index)).collect();
        if tier < 2 && tier_columns.len() == 1 {
            return Ok(tier_columns[0]); // its name tells, though its first values may be blank
        }
        let mut looks: Vec<Look> =
            tier_columns.iter().map(|&index| Look { index, weight: weight(rows.column(index)) }).collect();
        looks.retain(|look| look.weight > 0.0);
        looks.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.index.cmp(&b.index)));
        match looks[..] {
            [] if tier < 2 && !tier_columns.is_empty() && rows.num_rows() == 0 => return Ok(tier_columns[0]),
            [] => {}
            [ref best, ref next, ..] if next.weight >= NEAR * best.weight => {
                let (a, b) = (columns[best.index].label(), columns[next.index].label());
                return Err(unclear(
                    format!("columns {:?} and {:?} both look like sentences", cut(&a), cut(&b)),
                    columns,
                    rows,
                ));
            }
            [ref best, ..] => return Ok(best.index),
        }
    }
    if rows.num_rows() == 0 {
        return Ok(candidates.first().copied().unwrap_or(0)); // of no row, no column is wrong
    }
    Err(unclear("no column looks like sentences".to_owned(), columns, rows))
}

fn unclear(problem: String, columns: &[Column], rows: &RecordBatch) -> Error {
    let first = |column: &Column| {
        let texts = texts(rows.column(column.index)).ok();
        let first = texts.iter().flat_map(|texts| texts.iter().flatten()).map(str::trim).find(|text| !text.is_empty());
        first.map(cut).unwrap_or_default()
    };
    let candidate = |column: &Column| Candidate { name: column.label(), first: first(column) };
    Error::Unclear { problem, columns: columns.iter().map(candidate).collect() }
}

fn weight(column: &ArrayRef) -> f64 {
    let Ok(texts) = texts(column) else { return 0.0 };
    let (mut characters, mut words, mut filled, mut different) = (0usize, 0usize, 0usize, HashSet::new());
    for text in texts.iter().flatten().map(str::trim) {
        match kind(text) {
            Kind::Blank => continue,
            Kind::Words => words += 1,
            _ => {}
        }
        filled += 1;
        characters += text.chars().count();
        different.insert(text);
    }
    if 2 * words <= filled {
        return 0.0;
    }
    let share = different.len() as f64 / filled as f64;
    characters as f64 / filled as f64 * share
}

/// Names for the columns of a table: those of the header, and made ones where it has none.
pub(crate) fn field_names(columns: &[Column]) -> Vec<String> {
    let made =
        |column: &Column| if columns.len() == 1 { "text".to_owned() } else { format!("column_{}", column.index) };
    let own = |column: &Column| column.name.clone().filter(|name| !name.is_empty());
    columns.iter().map(|column| own(column).unwrap_or_else(|| made(column))).collect()
}

//! The pairs of a table: which of its columns they stand in, and each row checked.

use arrow_array::{Array, ArrayRef, LargeStringArray, cast::AsArray};
use tables::{Batch, Column, Layout, Options, Source, Table};

use super::failure::{Failure, Located};
use crate::{
    error::Problem,
    pair::{SentencePair, parse_score},
    reading::Reading,
    scale::Scale,
};

pub(super) type PartIterator = Box<dyn Iterator<Item = Result<Vec<SentencePair>, Failure>>>;

/// Names of a column of scores.
const SCORES: [&str; 2] = ["score", "label"];
/// KLUE's, in JSON lines and Parquet: a field of an object.
const NESTED: (&str, &str) = ("labels", "real-label");

/// A table with the columns of pairs.
#[derive(Debug, Clone)]
pub(super) struct PairTable {
    table: Table,
    sentences: [Named; 2],
    score: Option<Named>,
    scale: Scale,
}

/// A column with its name for messages.
#[derive(Debug, Clone)]
struct Named {
    index: usize,
    name: String,
    field: Option<&'static str>, // of an object
}

impl PairTable {
    /// `sheet` is that of a workbook.
    pub(super) fn open(source: Source, reading: &Reading, sheet: Option<String>) -> Result<Self, Failure> {
        let columns = &reading.columns;
        let asked = |name: &Option<String>, default: &str| name.clone().unwrap_or_else(|| default.to_owned());
        let sentences = [asked(&columns.sentence1, "sentence1"), asked(&columns.sentence2, "sentence2")];
        let names = sentences.iter().cloned().chain(columns.score.clone()).collect();
        let options = Options { names, sheet, ..Options::default() };
        let table = Table::open(source, &options).map_err(failure)?;
        let [first, second] = sentences.map(|name| find(&table, &name).map(|index| Named { index, name, field: None }));
        let score = match &columns.score {
            Some(name) => Some(Named { index: find(&table, name)?, name: name.clone(), field: None }),
            None => default_score(&table)?,
        };
        let sentences = [first?, second?];
        if sentences[0].index == sentences[1].index {
            return Err((None, Problem::SameColumn { name: sentences[0].name.clone() }).into());
        }
        Ok(Self { sentences, score, scale: reading.scale, table })
    }

    pub(super) fn layout(&self) -> Layout {
        *self.table.layout()
    }

    pub(super) fn parts(&self, rows: usize) -> Result<PartIterator, Failure> {
        let named = self.sentences.iter().chain(&self.score);
        // A column may be meant twice.
        let mut indices: Vec<usize> = named.map(|column| column.index).collect();
        indices.sort_unstable();
        indices.dedup();
        let batches = self.table.batches(&indices, rows, None).map_err(failure)?;
        let (table, mut is_empty, mut is_over) = (self.clone(), true, false);
        let mut batches = batches.map(move |batch| table.pairs(&batch.map_err(failure)?, &indices));
        Ok(Box::new(std::iter::from_fn(move || match batches.next() {
            Some(part) => {
                is_empty &= part.as_ref().is_ok_and(Vec::is_empty);
                Some(part)
            }
            None if is_empty && !is_over => {
                is_over = true;
                Some(Err((None, Problem::NoRows).into()))
            }
            None => None,
        })))
    }

    fn pairs(&self, batch: &Batch, indices: &[usize]) -> Result<Vec<SentencePair>, Failure> {
        let column = |named: &Named| -> Result<LargeStringArray, Failure> {
            let place = indices.binary_search(&named.index).expect("every named column was asked for");
            let mut column: ArrayRef = batch.rows.column(place).clone();
            if let Some(field) = named.field {
                let objects = column.as_struct();
                column = objects.column_by_name(field).expect("the field was found").clone();
            }
            tables::texts(&column).map_err(failure)
        };
        let [first, second] = [column(&self.sentences[0])?, column(&self.sentences[1])?];
        let scores = match &self.score {
            Some(named) => Some((named, column(named)?)),
            None => None,
        };
        let cell = |texts: &LargeStringArray, row: usize| {
            if texts.is_null(row) { String::new() } else { texts.value(row).to_owned() }
        };
        let mut blank = batch.blank.iter().peekable();
        let mut pairs = Vec::with_capacity(batch.lines.len());
        for row in 0..batch.lines.len() {
            if blank.next_if_eq(&&row).is_some() {
                continue; // a blank line holds no pair
            }
            let failed = |problem| -> Located { (Some(batch.lines[row] as usize), problem) };
            let score = scores.as_ref().map(|(named, texts)| parse_score(&named.name, &cell(texts, row), self.scale));
            let score = score.transpose().map_err(failed)?;
            let names = [&self.sentences[0].name, &self.sentences[1].name];
            let pair =
                SentencePair::checked([&cell(&first, row), &cell(&second, row)], names.map(String::as_str), score);
            pairs.push(pair.map_err(failed)?);
        }
        Ok(pairs)
    }
}

/// The score of a column that is named as scores are, if there is one.
fn default_score(table: &Table) -> Result<Option<Named>, Failure> {
    let mut found = Vec::new();
    for name in SCORES {
        if let Some(index) = position(table, name)? {
            found.push(Named { index, name: name.to_owned(), field: None });
        }
    }
    let (labels, field) = NESTED;
    if let Some(column) = table.columns().iter().find(|column| column.name.as_deref() == Some(labels))
        && let arrow_schema::DataType::Struct(fields) = table.schema().field(column.index).data_type()
        && fields.find(field).is_some()
    {
        found.push(Named { index: column.index, name: format!("{labels}.{field}"), field: Some(field) });
    }
    if let [first, second, ..] = &found[..] {
        let (first, second) = (first.name.clone(), second.name.clone());
        return Err((None, Problem::AmbiguousScore { first, second }).into());
    }
    Ok(found.pop())
}

fn find(table: &Table, name: &str) -> Result<usize, Failure> {
    if let Some(index) = position(table, name)? {
        return Ok(index);
    }
    // A number counts columns, where none is named so.
    let by_number = name.trim().parse::<usize>().ok().and_then(|_| table.column(name).ok());
    by_number.map(|column| column.index).ok_or_else(|| {
        let names: Vec<String> =
            table.columns().iter().map(Column::label).take(20).map(|name| format!("{name:?}")).collect();
        let found = cut(names.join(", "));
        (None, Problem::MissingColumn { missing: name.to_owned(), found }).into()
    })
}

/// The place of the only column of this name.
fn position(table: &Table, name: &str) -> Result<Option<usize>, Failure> {
    let names = || table.columns().iter().map(|column| column.name.as_deref().unwrap_or_default());
    let Some(index) = tables::find_name(names(), name) else { return Ok(None) };
    let own = names().nth(index).unwrap_or_default();
    if names().filter(|other| *other == own).count() > 1 {
        return Err((None, Problem::RepeatedColumn { name: own.to_owned() }).into());
    }
    Ok(Some(index))
}

/// Keeps a message readable when a file has, say, a sentence where its header should be.
fn cut(text: String) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn failure(error: tables::Error) -> Failure {
    match error {
        tables::Error::Io(cause) => Failure::Io(cause),
        tables::Error::Line { line, problem } => Failure::At((Some(line as usize), Problem::Row(problem))),
        error => Failure::At((None, Problem::Table(error.to_string()))),
    }
}

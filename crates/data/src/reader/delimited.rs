//! CSV and TSV through polars, each row checked and each error with its line.

use std::io::Cursor;
use std::sync::Arc;

use polars::prelude::{CsvReadOptions, DataFrame, DataType, Field, PolarsResult, Schema, SerReader};

use super::Located;
use super::records::{self, Dialect, Records};
use crate::error::Problem;
use crate::pair::{SentencePair, parse_score};

/// The positions of the columns that are kept.
struct Columns {
    sentence1: usize,
    sentence2: usize,
    score: Option<(usize, &'static str)>,
}

/// Reads every row of `text`, a header line first; also tells the byte at which the rows start.
pub(super) fn parse(text: &str, dialect: Dialect) -> Result<(Vec<SentencePair>, usize), Located> {
    let records = records::scan(text, dialect)?;
    let columns = Columns::find(&records.header).map_err(|problem| (Some(records.header_line), problem))?;
    if records.lines.iter().all(Option::is_none) {
        return Ok((Vec::new(), records.body));
    }
    let frame = read_frame(&text[records.body..], &records, &columns, dialect).map_err(refused)?;
    if frame.height() != records.lines.len() {
        let problem = Problem::RowsLost { counted: records.lines.len(), read: frame.height() };
        return Err((None, problem));
    }
    Ok((pairs(&frame, &records, &columns)?, records.body))
}

impl Columns {
    fn find(header: &[String]) -> Result<Columns, Problem> {
        let position = |name: &'static str| -> Result<Option<usize>, Problem> {
            let mut places = (0..header.len()).filter(|&place| header[place] == name);
            let first = places.next();
            match places.next() {
                Some(_) => Err(Problem::RepeatedColumn { name: name.to_owned() }),
                None => Ok(first),
            }
        };
        let required = |name| {
            position(name)?.ok_or_else(|| {
                let found: Vec<String> = header.iter().map(|name| format!("{name:?}")).collect();
                Problem::MissingColumn { missing: name, found: cut(found.join(", ")) }
            })
        };
        Ok(Columns {
            sentence1: required("sentence1")?,
            sentence2: required("sentence2")?,
            score: match (position("score")?, position("label")?) {
                (Some(_), Some(_)) => return Err(Problem::AmbiguousScore { first: "score", second: "label" }),
                (Some(place), None) => Some((place, "score")),
                (None, Some(place)) => Some((place, "label")),
                (None, None) => None,
            },
        })
    }
}

/// Every wanted column as text; a blank line becomes a row of empty texts.
fn read_frame(body: &str, records: &Records, columns: &Columns, dialect: Dialect) -> PolarsResult<DataFrame> {
    let names: Vec<String> = (0..records.header.len()).map(column_name).collect();
    // A header of our own in place of the file's: polars then meets neither repeated names nor, in the first bytes of
    // a text, what it takes for a compressed file.
    let separator = char::from(dialect.separator).to_string();
    let text = format!("{}\n{body}", names.join(&separator));
    let schema: Schema = names.iter().map(|name| Field::new(name.into(), DataType::String)).collect();
    let mut projection = vec![columns.sentence1, columns.sentence2];
    projection.extend(columns.score.map(|(place, _)| place));
    CsvReadOptions::default()
        .with_schema(Some(Arc::new(schema)))
        .with_projection(Some(Arc::new(projection)))
        .map_parse_options(|options| {
            options
                .with_separator(dialect.separator)
                .with_quote_char(dialect.quoting.then_some(b'"'))
                .with_missing_is_null(false)
        })
        .into_reader_with_file_handle(Cursor::new(text))
        .finish()
}

fn pairs(frame: &DataFrame, records: &Records, columns: &Columns) -> Result<Vec<SentencePair>, Located> {
    let texts = |place: usize| -> Result<Vec<&str>, Located> {
        let column = frame.column(&column_name(place)).and_then(|column| column.str()).map_err(refused)?;
        Ok(column.iter().map(Option::unwrap_or_default).collect())
    };
    let sentences1 = texts(columns.sentence1)?;
    let sentences2 = texts(columns.sentence2)?;
    let scores = columns.score.map(|(place, name)| Ok((texts(place)?, name))).transpose()?;

    let mut pairs = Vec::with_capacity(records.lines.len());
    for (row, line) in records.lines.iter().enumerate() {
        let Some(line) = *line else { continue }; // A blank line.
        let score = scores.as_ref().map(|(cells, name)| parse_score(name, cells[row])).transpose();
        let pair = score.and_then(|score| SentencePair::checked(sentences1[row], sentences2[row], score));
        pairs.push(pair.map_err(|problem| (Some(line), problem))?);
    }
    Ok(pairs)
}

fn column_name(place: usize) -> String {
    format!("column {place}")
}

/// The scan has refused everything known to trouble polars, so this is a last resort; its messages span lines.
fn refused(error: polars::error::PolarsError) -> Located {
    let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    (None, Problem::Reader { reason: cut(reason) })
}

/// Keeps a message readable when a file has, say, a sentence where its header should be.
fn cut(text: String) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;

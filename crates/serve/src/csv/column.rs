//! Which column of a file holds the sentences, by what the client says or by what the file shows.

use super::{Options, dialect::Dialect, error::Error};

/// Names of a column of sentences.
const SENTENCES: [&str; 3] = ["sentence", "text", "문장"];

/// Names by which a header is known, beside those.
const OTHERS: [&str; 20] = [
    "sentence1",
    "sentence2",
    "sentences",
    "texts",
    "content",
    "title",
    "id",
    "idx",
    "index",
    "no",
    "no.",
    "label",
    "score",
    "내용",
    "본문",
    "텍스트",
    "제목",
    "질문",
    "번호",
    "점수",
];

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its number, from 0.
    pub index: usize,
    /// Its name in the header, if there is one.
    pub name: Option<String>,
}

/// The column that the client asked for, else the one that is named as sentences are, else the first with text.
pub(super) fn choose(dialect: &Dialect, options: &Options) -> Result<Column, Error> {
    let empty = Vec::new();
    let first = dialect.rows.first().unwrap_or(&empty);
    let header: &[String] = if dialect.has_header { first } else { &[] };
    let index = match &options.column {
        // A number counts columns, whatever a header is called.
        Some(asked) => {
            asked.trim().parse().ok().filter(|&index| index < dialect.fields).or_else(|| find(header, asked))
        }
        None => {
            let rows = &dialect.rows[usize::from(dialect.has_header).min(dialect.rows.len())..];
            SENTENCES
                .iter()
                .find_map(|name| find(header, name))
                .or_else(|| (0..dialect.fields).find(|&index| is_text(rows, index)))
                .or(Some(0))
        }
    };
    match (index, &options.column) {
        (Some(index), _) => Ok(Column { index, name: header.get(index).cloned() }),
        (None, asked) => {
            Err(Error::NoColumn { asked: asked.clone().unwrap_or_default(), found: describe(header, dialect.fields) })
        }
    }
}

/// Whether a row names the column that was asked for, or one of sentences.
pub(super) fn names_one(row: &[String], asked: Option<&str>) -> bool {
    let asked = asked.filter(|asked| asked.trim().parse::<usize>().is_err()); // a number names nothing
    SENTENCES.iter().copied().chain(asked).any(|name| find(row, name).is_some())
}

/// Whether a row is made of names of columns alone.
pub(super) fn are_names(row: &[String]) -> bool {
    row.iter().all(|cell| SENTENCES.iter().chain(&OTHERS).any(|name| *name == cell.to_lowercase()))
}

/// Whether the first row names the columns of the others.
pub(super) fn is_header(first: &[String], rows: &[Vec<String>], asked: Option<&str>) -> bool {
    if names_one(first, asked) || OTHERS.iter().any(|name| find(first, name).is_some()) {
        return true;
    }
    // A column of numbers under a word.
    let is_named = |index: usize| {
        !is_number(&first[index]) && rows.iter().all(|row| row.get(index).is_some_and(|cell| is_number(cell)))
    };
    !rows.is_empty() && first.iter().all(|cell| !cell.is_empty()) && (0..first.len()).any(is_named)
}

fn find(header: &[String], name: &str) -> Option<usize> {
    let name = name.trim();
    let exact = header.iter().position(|cell| cell == name);
    exact.or_else(|| header.iter().position(|cell| cell.to_lowercase() == name.to_lowercase()))
}

/// Whether most of a column's cells that are not empty are no numbers.
fn is_text(rows: &[Vec<String>], index: usize) -> bool {
    let cells = rows.iter().filter_map(|row| row.get(index)).filter(|cell| !cell.is_empty());
    let (numbers, words): (Vec<_>, Vec<_>) = cells.partition(|cell| is_number(cell));
    words.len() > numbers.len()
}

fn is_number(cell: &str) -> bool {
    cell.parse::<f64>().is_ok_and(f64::is_finite)
}

fn describe(header: &[String], fields: usize) -> String {
    if header.is_empty() {
        return format!("no header, and columns 0 to {}", fields.max(1) - 1);
    }
    let shown: Vec<String> =
        header.iter().take(20).map(|name| format!("{:?}", name.chars().take(40).collect::<String>())).collect();
    format!("{}{}", shown.join(", "), if header.len() > shown.len() { ", …" } else { "" })
}

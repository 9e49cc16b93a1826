//! One table: what its file is, which columns it has, and its rows.

use std::{fmt, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};

use crate::{
    batch::{Batch, Batches},
    column::{self, Column},
    delimited,
    dialect::{Delimiter, Dialect},
    error::Error,
    json_lines,
    options::Options,
    parquet,
    source::{Progress, Source},
    text::{Charset, Text},
    workbook,
};

/// Rows by which the column of the sentences is told, and cells of them at most.
const COMPARED_ROWS: usize = 1000;
const COMPARED_CELLS: usize = 1 << 16;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text with a character between fields, or one field a line.
    Delimited,
    /// A JSON object a line, or an array of objects.
    JsonLines,
    /// Apache Parquet.
    Parquet,
    /// A sheet of an `.xlsx` workbook.
    Workbook,
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What it is.
    pub format: Format,
    /// The name of its encoding: UTF-8, CP949, UTF-16LE or UTF-16BE.
    pub encoding: &'static str,
    /// What stands between fields.
    pub delimiter: Delimiter,
    /// Whether the first row names the columns.
    pub has_header: bool,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            Format::Parquet => return f.write_str("Parquet"),
            Format::Workbook => f.write_str("workbook")?,
            Format::JsonLines => return write!(f, "JSON, {}", self.encoding),
            Format::Delimited if self.delimiter == Delimiter::None => write!(f, "one column, {}", self.encoding)?,
            Format::Delimited => write!(f, "{}-separated, {}", self.delimiter, self.encoding)?,
        }
        f.write_str(if self.has_header { ", with a header" } else { ", without a header" })
    }
}

/// A file whose form is known, and whose rows can be read as often as needed.
#[derive(Clone, Debug)]
pub struct Table {
    source: Source,
    form: Form,
    layout: Layout,
    schema: SchemaRef,
    columns: Vec<Column>,
    sheet: Option<String>,
}

#[derive(Clone, Debug)]
enum Form {
    Delimited(Dialect),
    Json(Charset),
    Parquet,
}

impl Table {
    /// Finds out how a file is to be read: what it is, its encoding and its quotes from the whole of it, the rest from its
    /// beginning.
    ///
    /// # Errors
    /// Where the file is empty, is of no form that can be read, or has a row that shows so.
    pub fn open(source: Source, options: &Options) -> Result<Self, Error> {
        let magic = magic(&source)?;
        if let Some(sheet) = &options.sheet
            && !matches!(magic, Magic::Zip)
        {
            return Err(Error::file(format!("sheet {sheet:?} is asked for, and the file is no .xlsx workbook")));
        }
        match magic {
            Magic::Parquet => {
                let schema = parquet::schema(&source)?;
                let layout =
                    Layout { format: Format::Parquet, encoding: "UTF-8", delimiter: Delimiter::None, has_header: true };
                Ok(Self::of_schema(source, Form::Parquet, layout, schema))
            }
            Magic::Zip => {
                let sheet = workbook::read(&source, options.sheet.as_deref(), options.max_unpacked_bytes)?;
                let dialect = Dialect::of_sheet(&sheet.source, workbook::SYNTAX, sheet.width, options)?;
                let table = Self::of_dialect(sheet.source, Format::Workbook, dialect);
                Ok(Self { sheet: Some(sheet.name), ..table })
            }
            Magic::Refused(what) => Err(Error::file(what)),
            Magic::Text => {
                let charset = Charset::detect(&source)?;
                if is_page(&source, charset)? {
                    return Err(Error::file(
                        "the file is an HTML or XML page, as exports of shops are that are named .xls: open it in a spreadsheet \
                         program and save it as .xlsx or CSV",
                    ));
                }
                if is_json(&source, charset)? {
                    let schema = json_lines::schema(&source, charset)?;
                    let (format, encoding) = (Format::JsonLines, charset.name());
                    let layout = Layout { format, encoding, delimiter: Delimiter::None, has_header: true };
                    return Ok(Self::of_schema(source, Form::Json(charset), layout, schema));
                }
                let dialect = Dialect::detect(&source, charset, options)?;
                Ok(Self::of_dialect(source, Format::Delimited, dialect))
            }
        }
    }

    fn of_schema(source: Source, form: Form, layout: Layout, schema: SchemaRef) -> Self {
        let fields = schema.fields().iter().enumerate();
        let columns = fields.map(|(index, field)| Column { index, name: Some(field.name().clone()) }).collect();
        Self { source, form, layout, schema, columns, sheet: None }
    }

    fn of_dialect(source: Source, format: Format, dialect: Dialect) -> Self {
        let layout = Layout {
            format,
            encoding: dialect.charset.name(),
            delimiter: dialect.delimiter,
            has_header: dialect.has_header,
        };
        let (schema, columns) = (dialect.schema(), dialect.columns());
        Self { source, form: Form::Delimited(dialect), layout, schema, columns, sheet: None }
    }

    /// How the file is read.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The sheet that is read of a workbook.
    pub fn sheet(&self) -> Option<&str> {
        self.sheet.as_deref()
    }

    /// Its columns; those of a delimited file are of text.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Its columns by number and name.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Bytes that [`Table::batches`] goes through.
    pub fn bytes(&self) -> u64 {
        self.source.bytes()
    }

    /// The column that is asked for by its name (in NFC, else without case and white space), else by its number, from 0.
    ///
    /// # Errors
    /// Where there is no such column.
    pub fn column(&self, asked: &str) -> Result<&Column, Error> {
        Ok(&self.columns[column::find(&self.columns, asked)?])
    }

    /// The column of the sentences: the one that is named as they are, else the one whose values are longest and most varied,
    /// and no dates, numbers, codes or addresses.
    ///
    /// # Errors
    /// [`Error::Unclear`] where two columns come near each other or none looks like sentences; where the first rows cannot be
    /// read.
    pub fn sentence_column(&self) -> Result<&Column, Error> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let rows = (COMPARED_CELLS / all.len().max(1)).clamp(1, COMPARED_ROWS);
        let first = self.batches(&all, rows, None)?.next().transpose()?;
        let rows = first.map_or_else(|| RecordBatch::new_empty(self.schema.clone()), |batch| batch.rows);
        Ok(&self.columns[column::choose(&self.columns, &rows)?])
    }

    /// The rows with these columns, in this order, at most `rows` at once; `progress` grows by the bytes that were read.
    ///
    /// # Errors
    /// Where the file cannot be opened once more; what is wrong with a row is told when its batch is asked for.
    ///
    /// # Panics
    /// If the table has no such column.
    pub fn batches(&self, columns: &[usize], rows: usize, progress: Option<Progress>) -> Result<Batches, Error> {
        let fields: Vec<_> = columns.iter().map(|&index| self.schema.fields()[index].clone()).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(match &self.form {
            Form::Delimited(dialect) => {
                Box::new(delimited::Batches::new(&self.source, dialect, columns, schema, rows, progress)?)
            }
            Form::Json(charset) => Box::new(json_lines::Batches::new(&self.source, *charset, schema, rows, progress)?),
            Form::Parquet => {
                let batches = parquet::Batches::new(&self.source, columns, rows, progress)?;
                // The reader gives columns in the file's order.
                Box::new(batches.map(move |batch| {
                    let Batch { rows, lines, blank } = batch?;
                    let places = schema.fields().iter().map(|field| rows.schema().index_of(field.name()));
                    let places: Result<Vec<usize>, _> = places.collect();
                    let rows = places.and_then(|places| rows.project(&places));
                    Ok(Batch { rows: rows.map_err(|error| Error::file(error.to_string()))?, lines, blank })
                }))
            }
        })
    }
}

/// What the first bytes of a file say.
enum Magic {
    Parquet,
    Zip,
    Refused(&'static str),
    Text,
}

fn magic(source: &Source) -> Result<Magic, Error> {
    let mut start = [0; 4];
    let length = source.read_at(0, &mut start)?;
    Ok(match &start[..length] {
        b"PAR1" => Magic::Parquet,
        b"PK\x03\x04" => Magic::Zip,
        b"\xD0\xCF\x11\xE0" => Magic::Refused("the file is a workbook of an old form (.xls): save it as .xlsx or CSV"),
        [0x1F, 0x8B, ..] | b"\x28\xB5\x2F\xFD" | [b'B', b'Z', b'h', _] => {
            Magic::Refused("the file is compressed: unpack it first")
        }
        _ => Magic::Text,
    })
}

/// Whether a text begins as a page does.
fn is_page(source: &Source, charset: Charset) -> Result<bool, Error> {
    let mut piece = Vec::new();
    Text::new(source, charset, None).read(&mut piece)?;
    let start = piece.trim_ascii_start();
    let start = start[..start.len().min(16)].to_ascii_lowercase();
    let marks: [&[u8]; 5] = [b"<!doctype", b"<html", b"<table", b"<?xml", b"<meta"];
    Ok(marks.iter().any(|mark| start.starts_with(mark)))
}

/// Whether a text begins as a JSON object with a field does, or as an array of objects.
fn is_json(source: &Source, charset: Charset) -> Result<bool, Error> {
    let mut piece = Vec::new();
    Text::new(source, charset, None).read(&mut piece)?;
    let mut marks = piece.iter().filter(|byte| !byte.is_ascii_whitespace());
    Ok(match (marks.next(), marks.next()) {
        (Some(b'{'), Some(b'"' | b'}')) | (Some(b'['), Some(b'{' | b']')) => true,
        // An array of something else, which is refused, unless it is a sentence that begins so.
        (Some(b'['), Some(b'"' | b'[')) => ends_in_bracket(source)?,
        _ => false,
    })
}

/// Whether the last character of a file, but for white space, is `]`.
fn ends_in_bracket(source: &Source) -> Result<bool, Error> {
    let mut end = [0; 64];
    let length = source.read_at(source.bytes().saturating_sub(end.len() as u64), &mut end)?;
    Ok(end[..length].trim_ascii_end().last() == Some(&b']'))
}

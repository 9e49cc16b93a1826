//! Tables to read: which files, and their rows in batches.

mod delimited;
mod json_lines;
mod parquet;

use std::{
    collections::BTreeSet,
    fs::{File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
};

use anyhow::{Context, bail, ensure};
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use data::command_line::WrongUse;

/// What a file is, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Delimited { delimiter: u8, quoting: bool },
    JsonLines,
    Parquet,
}

const EXPECTED: &str = ".csv, .tsv, .jsonl, .ndjson or .parquet";

impl Format {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Delimited { delimiter: b',', quoting: true }),
            // As everywhere in this workspace, a `"` in a TSV is text.
            "tsv" => Some(Self::Delimited { delimiter: b'\t', quoting: false }),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// A file of a table.
#[derive(Clone, Debug)]
pub struct Input {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was written last, in nanoseconds since 1970; none where the system does not say.
    pub modified: Option<u64>,
    format: Format,
    schema: SchemaRef,
}

/// Batches of rows, in the file's order.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>;

impl Input {
    fn open(path: PathBuf) -> anyhow::Result<Self> {
        let format = Format::of(&path);
        let shown = path.display();
        let format = format.ok_or_else(|| WrongUse(format!("{shown}: cannot tell its format: expected {EXPECTED}")))?;
        let read = || -> anyhow::Result<(Metadata, SchemaRef)> {
            let file = File::open(&path)?;
            let schema = match format {
                Format::Delimited { delimiter, quoting } => delimited::schema(&file, delimiter, quoting)?,
                Format::JsonLines => json_lines::schema(&file)?,
                Format::Parquet => parquet::schema(&file)?,
            };
            Ok((file.metadata()?, schema))
        };
        let (metadata, schema) = read().with_context(|| shown.to_string())?;
        let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since.and_then(|since| u64::try_from(since.as_nanos()).ok());
        Ok(Self { path, bytes: metadata.len(), modified, format, schema })
    }

    /// Its rows, at most `rows` at once; `position` is kept at the bytes of the file that were read.
    pub(crate) fn batches(&self, rows: usize, position: &Arc<AtomicU64>) -> anyhow::Result<Batches> {
        let open = || -> anyhow::Result<Batches> {
            let file = File::open(&self.path)?;
            let schema = self.schema.clone();
            match self.format {
                Format::Delimited { delimiter, quoting } => {
                    delimited::batches(Counted::new(file, position), schema, delimiter, quoting, rows)
                }
                Format::JsonLines => json_lines::batches(Counted::new(file, position), schema, rows),
                Format::Parquet => parquet::batches(file, rows, self.bytes, position.clone()),
            }
        };
        open().with_context(|| self.path.display().to_string())
    }
}

/// A reader that tells how far it came.
struct Counted {
    file: File,
    position: Arc<AtomicU64>,
}

impl Counted {
    fn new(file: File, position: &Arc<AtomicU64>) -> Self {
        Self { file, position: position.clone() }
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.position.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Files with the same columns, one after the other.
#[derive(Clone, Debug)]
pub struct Table {
    /// The files, by name.
    pub inputs: Vec<Input>,
    /// The columns of each.
    pub schema: SchemaRef,
}

impl Table {
    /// The files that `patterns` name: each a file, a folder, whose tables are taken but for hidden ones and those that begin
    /// with `_`, or a glob.
    ///
    /// # Errors
    /// Where a file cannot be read, is of no known format, or has other columns than the first.
    pub fn open(patterns: &[String]) -> anyhow::Result<Self> {
        let mut paths = BTreeSet::new();
        for pattern in patterns {
            let found = files(pattern)?;
            ensure!(!found.is_empty(), "{pattern}: no file is named so: expected a file, a folder or a glob");
            paths.extend(found);
        }
        let inputs: Vec<Input> = paths.into_iter().map(Input::open).collect::<Result<_, _>>()?;
        let Some(first) = inputs.first() else { bail!("no input is named") };
        let schema = first.schema.clone();
        for input in &inputs {
            if input.schema.fields() != schema.fields() {
                let columns = |schema: &SchemaRef| {
                    let column = |field: &Arc<arrow_schema::Field>| format!("{} {}", field.name(), field.data_type());
                    schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
                };
                let (found, expected) = (columns(&input.schema), columns(&schema));
                let (path, first) = (input.path.display(), first.path.display());
                bail!("{path}: has the columns {found}, expected those of {first}: {expected}");
            }
        }
        Ok(Self { inputs, schema })
    }
}

fn files(pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let path = Path::new(pattern);
    if path.is_dir() {
        let mut found = Vec::new();
        for entry in path.read_dir().with_context(|| pattern.to_owned())? {
            let path = entry.with_context(|| pattern.to_owned())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Spark's marks, and what others are about to write.
            let is_aside = name.starts_with(['_', '.']);
            if path.is_file() && !is_aside && Format::of(&path).is_some() {
                found.push(path);
            }
        }
        ensure!(!found.is_empty(), "{pattern}: the folder holds no table: expected files named {EXPECTED}");
        return Ok(found);
    }
    if path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    let matches = glob::glob(pattern).map_err(|error| WrongUse(format!("{pattern}: {error}")))?;
    let found: Vec<PathBuf> = matches.collect::<Result<_, _>>().with_context(|| pattern.to_owned())?;
    Ok(found.into_iter().filter(|path| path.is_file()).collect())
}

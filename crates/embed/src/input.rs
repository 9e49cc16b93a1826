//! Tables to read: which files, and their rows in batches of the same columns.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::UNIX_EPOCH,
};

use anyhow::{Context, anyhow, bail, ensure};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use ground::command_line::WrongUse;
use tables::{EXTENSIONS, Options, Source};

/// A file of a table.
#[derive(Clone, Debug)]
pub struct Input {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was written last, in nanoseconds since 1970; none where the system does not say.
    pub modified: Option<u64>,
    /// How it is read.
    pub table: tables::Table,
}

/// Batches of rows, in the file's order.
pub(crate) type Batches = Box<dyn Iterator<Item = anyhow::Result<RecordBatch>>>;

impl Input {
    fn open(path: PathBuf, options: &Options) -> anyhow::Result<Self> {
        let shown = || path.display().to_string();
        let source = Source::open(&path).with_context(shown)?;
        let bytes = source.bytes();
        let table = tables::Table::open(source, options).with_context(shown)?;
        let written = path.metadata().and_then(|metadata| metadata.modified()).ok();
        let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since.and_then(|since| u64::try_from(since.as_nanos()).ok());
        Ok(Self { path, bytes, modified, table })
    }

    /// Its rows with the columns of `schema`, at most `rows` at once; `position` grows by the bytes that were read.
    pub(crate) fn batches(
        &self,
        schema: &SchemaRef,
        rows: usize,
        position: &Arc<AtomicU64>,
    ) -> anyhow::Result<Batches> {
        let all: Vec<usize> = (0..self.table.columns().len()).collect();
        let batches = self.table.batches(&all, rows, Some(position.clone()));
        let (batches, schema) = (batches.with_context(|| self.path.display().to_string())?, schema.clone());
        Ok(Box::new(batches.map(move |batch| Ok(tables::conform(&batch?.rows, &schema)?))))
    }
}

/// Files as one table, one after the other.
#[derive(Clone, Debug)]
pub struct Table {
    /// The files, by name.
    pub inputs: Vec<Input>,
    /// The columns of all of them.
    pub schema: SchemaRef,
    /// What was said of how to read them.
    pub(crate) reading: Options,
}

impl Table {
    /// The files that `patterns` name: each a file, a folder, whose tables are taken but for hidden ones and those that begin
    /// with `_`, or a glob.
    ///
    /// # Errors
    /// Where a file cannot be read, or its columns do not go together with those of the others.
    pub fn open(patterns: &[String], options: &Options) -> anyhow::Result<Self> {
        let mut paths = BTreeSet::new();
        for pattern in patterns {
            let found = files(pattern)?;
            ensure!(!found.is_empty(), "{pattern}: no file is named so: expected a file, a folder or a glob");
            paths.extend(found);
        }
        let inputs: Vec<Input> = paths.into_iter().map(|path| Input::open(path, options)).collect::<Result<_, _>>()?;
        if inputs.is_empty() {
            bail!("no input is named");
        }
        let names: Vec<String> = inputs.iter().map(|input| input.path.display().to_string()).collect();
        let read: Vec<&tables::Table> = inputs.iter().map(|input| &input.table).collect();
        let schema = tables::merge(&names, &read).map_err(|difference| anyhow!(difference))?;
        Ok(Self { inputs, schema, reading: options.clone() })
    }

    /// How the files are read: a line for each form, with the first file of it.
    pub(crate) fn forms(&self) -> Vec<String> {
        let mut forms: Vec<(&Input, usize)> = Vec::new();
        for input in &self.inputs {
            match forms.iter_mut().find(|(first, _)| first.table.layout() == input.table.layout()) {
                Some((_, more)) => *more += 1,
                None => forms.push((input, 0)),
            }
        }
        let line = |(first, more): &(&Input, usize)| {
            let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
            let sheet = first.table.sheet().map(|sheet| format!(", sheet {sheet:?}")).unwrap_or_default();
            format!("{}{more}: {}{sheet}", first.path.display(), first.table.layout())
        };
        forms.iter().map(line).collect()
    }

    /// The name of the column that is asked for, or of the one that holds the sentences.
    ///
    /// # Errors
    /// Where there is no such column, or more than one could be meant.
    pub fn text_column(&self, asked: Option<&str>) -> anyhow::Result<String> {
        let Some(first) = self.inputs.first() else { bail!("no input is named") };
        // A field of JSON lines may be missing in the first file.
        let place = asked
            .and_then(|asked| tables::find_name(self.schema.fields().iter().map(|field| field.name().as_str()), asked));
        if let Some(place) = place {
            return Ok(self.schema.field(place).name().clone());
        }
        let column = match asked {
            Some(asked) => first.table.column(asked),
            None => first.table.sentence_column(),
        };
        let index = column.with_context(|| first.path.display().to_string())?.index;
        Ok(first.table.schema().field(index).name().clone())
    }
}

fn files(pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let path = Path::new(pattern);
    if path.is_dir() {
        let mut found = Vec::new();
        for entry in path.read_dir().with_context(|| pattern.to_owned())? {
            let path = entry.with_context(|| pattern.to_owned())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Spark's marks, what others are about to write, and what Excel leaves beside a file that is open.
            let is_aside = name.starts_with(['_', '.', '~']);
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            if path.is_file() && !is_aside && EXTENSIONS.contains(&extension.as_str()) {
                found.push(path);
            }
        }
        let expected = EXTENSIONS.join(", .");
        ensure!(!found.is_empty(), "{pattern}: the folder holds no table: expected files named .{expected}");
        return Ok(found);
    }
    if path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    let matches = glob::glob(pattern).map_err(|error| WrongUse(format!("{pattern}: {error}")))?;
    let found: Vec<PathBuf> = matches.collect::<Result<_, _>>().with_context(|| pattern.to_owned())?;
    Ok(found.into_iter().filter(|path| path.is_file()).collect())
}

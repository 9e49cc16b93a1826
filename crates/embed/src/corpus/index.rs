//! What a search reads, made once from the parts.

use std::{
    fs::{self, File},
    io::{BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use anyhow::{Context, ensure};
use arrow_array::{Array, ArrayRef, BooleanArray, Float32Array, RecordBatch, UInt64Array, cast::AsArray};
use arrow_buffer::Buffer;
use arrow_cast::cast;
use arrow_ipc::{reader::StreamDecoder, writer::StreamWriter};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use model::atomic::replace_dir;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};

use super::{
    PartFile,
    format::{Encoded, NUMBERS, SCALES, ScanFormat},
    mapped,
};
use crate::{ROWS_AT_ONCE, columns::scale_of, settings::Settings};

/// The embeddings at length 1.
pub(super) const VECTORS: &str = "vectors.f32";
/// The other columns, as an Arrow stream.
pub(super) const ROWS: &str = "rows.arrows";
/// The column of a row's number in the table, from 0.
pub(super) const NUMBER: &str = "#index";
const NAME: &str = "index.json"; // last: an index that has it is whole

/// What to do about an index that is not as it was written.
pub(super) const DAMAGED: &str = "damaged: remove the index's folder, and it is made anew";

/// What an index was made of, and what is known of it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    parts: Vec<PartFile>,
    model_sha256: String,
    format: ScanFormat,
    /// Rows that have an embedding.
    pub(super) rows: usize,
    /// Largest distance of a row from what stands for it in the scanned format.
    pub(super) error: f32,
}

/// The parts of a folder, by name.
pub(super) fn parts(dir: &Path) -> anyhow::Result<Vec<PartFile>> {
    let shown = || dir.display().to_string();
    let mut parts = Vec::new();
    for entry in fs::read_dir(dir).with_context(shown)? {
        let path = entry.with_context(shown)?.path();
        let name = PathBuf::from(path.file_name().unwrap_or_default());
        let text = name.to_string_lossy();
        if text.starts_with("part-") && text.ends_with(".parquet") {
            let metadata = path.metadata().with_context(|| path.display().to_string())?;
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let modified = modified.map_or(0, |time| time.as_nanos());
            parts.push(PartFile { name, bytes: metadata.len(), modified });
        }
    }
    // A number of more digits than others is longer.
    parts.sort_by_key(|part| (part.name.as_os_str().len(), part.name.clone()));
    Ok(parts)
}

impl Index {
    /// The index that is there, if it is of these parts and in this format.
    pub(super) fn current(
        path: &Path,
        parts: &[PartFile],
        settings: &Settings,
        format: ScanFormat,
    ) -> anyhow::Result<Option<Self>> {
        let path = path.join(NAME);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| path.display().to_string())?,
        };
        // One that cannot be read is of another version, and is made anew.
        let index = serde_json::from_str::<Self>(&text).ok();
        let is_current = |index: &Self| {
            index.parts == parts && index.model_sha256 == settings.model_sha256 && index.format == format
        };
        Ok(index.filter(is_current))
    }

    /// Makes an index under `path`, in the place of one that is there.
    pub(super) fn make(
        path: &Path,
        dir: &Path,
        parts: Vec<PartFile>,
        name: &str,
        settings: &Settings,
        format: ScanFormat,
        told: &mut dyn FnMut(usize),
    ) -> anyhow::Result<Self> {
        let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        ensure!(
            !path.exists() || path.join(NAME).exists() || is_empty(),
            "{}: holds other files, expected an index, an empty folder or none: choose another --corpus-index",
            path.display()
        );
        told(0);
        let mut index = Self { parts, model_sha256: settings.model_sha256.clone(), format, rows: 0, error: 0.0 };
        let fill = |target: &Path| -> anyhow::Result<()> {
            let mut files = Files::create(target, format)?;
            let mut number = 0;
            for part in &index.parts {
                let path = dir.join(&part.name);
                let shown = || path.display().to_string();
                let file = File::open(&path).with_context(shown)?;
                let reader = ParquetRecordBatchReaderBuilder::try_new(file).with_context(shown)?;
                let batches = reader.with_batch_size(ROWS_AT_ONCE).build().with_context(shown)?;
                for batch in batches {
                    let batch = batch.with_context(shown)?;
                    files.add(&batch, name, settings.dimensions, number).with_context(shown)?;
                    number += batch.num_rows() as u64;
                    told(number as usize);
                }
            }
            (index.rows, index.error) = files.finish()?;
            let text = serde_json::to_string_pretty(&index)? + "\n";
            fs::write(target.join(NAME), text).with_context(|| target.display().to_string())
        };
        let made = replace_dir(path, fill).context("the corpus's index cannot be made");
        made.with_context(|| format!("{} (another place for it: --corpus-index)", path.display()))?;
        Ok(index)
    }
}

/// The files of an index under way.
struct Files {
    dir: PathBuf,
    vectors: BufWriter<File>,
    numbers: Option<BufWriter<File>>,
    scales: Option<BufWriter<File>>,
    rows: Option<StreamWriter<BufWriter<File>>>, // from the first batch on, whose columns it has
    format: ScanFormat,
    count: usize,
    error: f32,
}

impl Files {
    fn create(dir: &Path, format: ScanFormat) -> anyhow::Result<Self> {
        let create = |name: &str| {
            let path = dir.join(name);
            File::create(&path).map(BufWriter::new).with_context(|| path.display().to_string())
        };
        Ok(Self {
            dir: dir.to_owned(),
            vectors: create(VECTORS)?,
            numbers: (format != ScanFormat::F32).then(|| create(NUMBERS)).transpose()?,
            scales: (format == ScanFormat::Int8).then(|| create(SCALES)).transpose()?,
            rows: None,
            format,
            count: 0,
            error: 0.0,
        })
    }

    /// Adds the rows of a batch that have an embedding; the first has `number` in the table.
    fn add(&mut self, batch: &RecordBatch, name: &str, width: usize, number: u64) -> anyhow::Result<()> {
        let column = batch.column_by_name(name).with_context(|| format!("has no column {name:?}"))?;
        let list = column.as_fixed_size_list_opt().with_context(|| format!("column {name:?} holds no embeddings"))?;
        ensure!(
            list.value_length() as usize == width,
            "embeddings of {} numbers, expected {width}",
            list.value_length()
        );
        let values = cast(list.values(), &DataType::Float32)?;
        let values: &Float32Array = values.as_primitive();
        let vectors = values.values().chunks_exact(width).enumerate();
        let mut encoded = Encoded::default();
        let mut is_there = vec![false; batch.num_rows()];
        for (row, vector) in vectors {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            if list.is_null(row) || !length.is_normal() {
                continue;
            }
            is_there[row] = true;
            self.count += 1;
            // A row's scale in int8 falls out here.
            let vector: Vec<f32> = vector.iter().map(|x| x / length).collect();
            self.vectors.write_all(bytemuck::cast_slice(&vector))?;
            encoded.add(&vector, self.format);
        }
        self.error = self.error.max(encoded.error);
        if let Some(numbers) = &mut self.numbers {
            numbers.write_all(&encoded.numbers)?;
        }
        if let Some(scales) = &mut self.scales {
            scales.write_all(bytemuck::cast_slice(&encoded.scales))?;
        }
        let others = others(batch, name, number)?;
        let others = filter_record_batch(&others, &BooleanArray::from(is_there))?;
        let rows = match &mut self.rows {
            Some(rows) => rows,
            none => {
                let path = self.dir.join(ROWS);
                let file = File::create(&path).with_context(|| path.display().to_string())?;
                none.insert(StreamWriter::try_new(BufWriter::new(file), &others.schema())?)
            }
        };
        Ok(rows.write(&others)?)
    }

    /// Brings all of it to the files; returns the number of rows and the largest error of one.
    fn finish(self) -> anyhow::Result<(usize, f32)> {
        let Self { dir, vectors, numbers, scales, rows, count, error, .. } = self;
        let files = [Some(vectors), numbers, scales].into_iter().flatten();
        for mut file in files {
            file.flush().with_context(|| dir.display().to_string())?;
        }
        let mut rows = rows.context("the parts have no row")?;
        rows.finish()?;
        rows.get_mut().flush().with_context(|| dir.display().to_string())?;
        Ok((count, error))
    }
}

/// The columns beside the embedding, and each row's number.
fn others(batch: &RecordBatch, name: &str, number: u64) -> anyhow::Result<RecordBatch> {
    let schema: SchemaRef = batch.schema();
    let is_kept = |field: &Field| *field.name() != name && *field.name() != scale_of(name);
    let places = schema.fields().iter().enumerate().filter(|(_, field)| is_kept(field)).map(|(place, _)| place);
    let kept = batch.project(&places.collect::<Vec<_>>())?;
    let numbers = (number..).take(batch.num_rows()).collect::<UInt64Array>();
    let field = Arc::new(Field::new(NUMBER, DataType::UInt64, false));
    let fields = kept.schema().fields().iter().cloned().chain([field]).collect::<Vec<_>>();
    let columns = kept.columns().iter().cloned().chain([Arc::new(numbers) as ArrayRef]).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The rows of an index; their columns lie in the mapped file.
pub(super) fn rows(dir: &Path) -> anyhow::Result<Vec<RecordBatch>> {
    let path = dir.join(ROWS);
    let mut buffer = Buffer::from(bytes::Bytes::from_owner(mapped::map(&path)?));
    let mut decoder = StreamDecoder::new();
    let mut batches = Vec::new();
    let mut decode = || -> anyhow::Result<()> {
        while let Some(batch) = decoder.decode(&mut buffer)? {
            batches.push(batch);
        }
        Ok(decoder.finish()?)
    };
    decode().with_context(|| format!("{}: {DAMAGED}", path.display()))?;
    Ok(batches)
}

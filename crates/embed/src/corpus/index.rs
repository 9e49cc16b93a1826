//! What a search reads: the files of an index, made from the parts.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use arrow_array::{Array, ArrayRef, BooleanArray, Float32Array, RecordBatch, UInt64Array, cast::AsArray};
use arrow_buffer::Buffer;
use arrow_cast::cast;
use arrow_ipc::{reader::StreamDecoder, writer::StreamWriter};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{
    format::{Encoded, NUMBERS, SCALES, ScanFormat},
    header::{Contents, Source},
    mapped::{self, DAMAGED},
};
use crate::{ROWS_AT_ONCE, columns::scale_of};

/// The embeddings at length 1.
pub(super) const VECTORS: &str = "vectors.f32";
/// The other columns, and after them the row's number in the table, from 0, as an Arrow stream.
pub(super) const ROWS: &str = "rows.arrows";

/// Writes the files of an index into an empty folder; `told` hears of the rows so far.
pub(super) fn write(
    into: &Path,
    parts: &Path,
    source: &Source,
    told: &mut dyn FnMut(usize),
) -> anyhow::Result<Contents> {
    let mut files = Files::create(into, source)?;
    let mut number = 0;
    for part in &source.parts {
        let path = parts.join(&part.name);
        let shown = || path.display().to_string();
        let file = File::open(&path).with_context(shown)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).with_context(shown)?;
        let batches = reader.with_batch_size(ROWS_AT_ONCE).build().with_context(shown)?;
        for batch in batches {
            let batch = batch.with_context(shown)?;
            files.add(&batch, number).with_context(shown)?;
            number += batch.num_rows() as u64;
            told(number as usize);
        }
    }
    files.finish()
}

/// The files of an index under way.
struct Files<'a> {
    dir: PathBuf,
    source: &'a Source,
    vectors: BufWriter<File>,
    numbers: Option<BufWriter<File>>,
    scales: Option<BufWriter<File>>,
    rows: Option<StreamWriter<BufWriter<File>>>, // from the first batch on, whose columns it has
    count: usize,
    error: f32,
}

impl<'a> Files<'a> {
    fn create(dir: &Path, source: &'a Source) -> anyhow::Result<Self> {
        let create = |name: &str| {
            let path = dir.join(name);
            File::create(&path).map(BufWriter::new).with_context(|| path.display().to_string())
        };
        Ok(Self {
            dir: dir.to_owned(),
            source,
            vectors: create(VECTORS)?,
            numbers: (source.format != ScanFormat::F32).then(|| create(NUMBERS)).transpose()?,
            scales: (source.format == ScanFormat::Int8).then(|| create(SCALES)).transpose()?,
            rows: None,
            count: 0,
            error: 0.0,
        })
    }

    /// Adds the rows of a batch that have an embedding; the first has `number` in the table.
    fn add(&mut self, batch: &RecordBatch, number: u64) -> anyhow::Result<()> {
        let Source { column: name, dimensions: width, .. } = self.source;
        let width = *width;
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
            encoded.add(&vector, self.source.format);
        }
        self.error = self.error.max(encoded.error);
        if let Some(numbers) = &mut self.numbers {
            numbers.write_all(&encoded.numbers)?;
        }
        if let Some(scales) = &mut self.scales {
            scales.write_all(bytemuck::cast_slice(&encoded.scales))?;
        }
        let others = others(batch, self.source, number)?;
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

    /// Brings all of it to the disk.
    fn finish(self) -> anyhow::Result<Contents> {
        let Self { dir, vectors, numbers, scales, rows, count, error, .. } = self;
        let shown = || dir.display().to_string();
        let mut rows = rows.context("the parts have no row")?;
        rows.finish()?;
        let mut rows_bytes = 0;
        for file in [Some(rows.into_inner()?), Some(vectors), numbers, scales].into_iter().flatten() {
            let file = file.into_inner().map_err(std::io::Error::from).with_context(shown)?;
            file.sync_all().with_context(shown)?;
            if rows_bytes == 0 {
                rows_bytes = file.metadata().with_context(shown)?.len();
            }
        }
        Ok(Contents { rows: count, error, rows_bytes })
    }
}

/// The columns beside the embedding and its scale, and each row's number.
fn others(batch: &RecordBatch, source: &Source, number: u64) -> anyhow::Result<RecordBatch> {
    let schema: SchemaRef = batch.schema();
    // A column of that name that no int8 embedding wrote is the table's own.
    let scale = source.has_scale.then(|| scale_of(&source.column));
    let is_kept = |field: &Field| *field.name() != source.column && Some(field.name()) != scale.as_ref();
    let places = schema.fields().iter().enumerate().filter(|(_, field)| is_kept(field)).map(|(place, _)| place);
    let kept = batch.project(&places.collect::<Vec<_>>())?;
    let numbers = (number..).take(batch.num_rows()).collect::<UInt64Array>();
    let field = Arc::new(Field::new("index", DataType::UInt64, false)); // found by its place, whatever others are named
    let fields = kept.schema().fields().iter().cloned().chain([field]).collect::<Vec<_>>();
    let columns = kept.columns().iter().cloned().chain([Arc::new(numbers) as ArrayRef]).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The rows of an index; their columns lie in the mapped file.
pub(super) fn rows(dir: &Path, contents: &Contents) -> anyhow::Result<Vec<RecordBatch>> {
    let path = dir.join(ROWS);
    let bytes = mapped::map(&path, contents.rows_bytes)?;
    let mut buffer = Buffer::from(bytes::Bytes::from_owner(bytes));
    let mut decoder = StreamDecoder::new();
    let mut batches = Vec::new();
    let mut decode = || -> anyhow::Result<()> {
        while let Some(batch) = decoder.decode(&mut buffer)? {
            batches.push(batch);
        }
        Ok(decoder.finish()?)
    };
    let damaged = || format!("{}: {DAMAGED}", path.display());
    decode().with_context(damaged)?;
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    ensure!(count == contents.rows, "{}: {count} rows, expected {}", damaged(), contents.rows);
    Ok(batches)
}

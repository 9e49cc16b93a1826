//! Parquet parts, each whole or not at all.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use ground::Staged;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

/// Rows that a reader holds at once, and this writer.
const ROW_GROUP: usize = 16_384;

/// The file that says how many parts each file of the table has, which is known once one process has read it to its end.
const COUNTS: &str = "_parts.json"; // readers of Parquet folders leave out what begins so

/// Notes how many parts each file has.
pub(crate) fn note_counts(dir: &Path, counts: &[usize]) -> anyhow::Result<()> {
    let (path, text) = (dir.join(COUNTS), serde_json::to_string(counts)? + "\n");
    if fs::read_to_string(&path).is_ok_and(|found| found == text) {
        return Ok(()); // another shard, or an earlier run; the folder may be read-only by now
    }
    let mut file = Staged::create(&path)?;
    file.file().write_all(text.as_bytes()).map_err(|cause| file.failed(cause))?;
    Ok(file.commit(true)?)
}

/// Fails where a part of the table is not there yet.
pub(crate) fn check_whole(dir: &Path) -> anyhow::Result<()> {
    let (shown, counts) = (dir.display(), dir.join(COUNTS));
    let text = match fs::read_to_string(&counts) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!(
                "{shown}: not finished: no run of `embed` has come to the end of its table; run the same command again"
            )
        }
        text => text.with_context(|| counts.display().to_string())?,
    };
    let counts: Vec<usize> = serde_json::from_str(&text).with_context(|| counts.display().to_string())?;
    let total: usize = counts.iter().sum();
    let parts = counts.iter().enumerate().flat_map(|(file, &count)| (0..count).map(move |part| path(dir, file, part)));
    let missing: Vec<PathBuf> = parts.filter(|part| !part.exists()).collect();
    if let Some(first) = missing.first() {
        let first = first.file_name().unwrap_or_default().display();
        let number = missing.len();
        bail!(
            "{shown}: not finished: {number} of {total} parts are missing, the first {first}; run `embed` again, each shard"
        );
    }
    ensure!(total > 0, "{shown}: its table has no rows");
    Ok(())
}

/// Where part `part` of file `file` lies. By name, parts are in the table's order.
pub(crate) fn path(dir: &Path, file: usize, part: usize) -> PathBuf {
    dir.join(format!("part-{file:05}-{part:05}.parquet"))
}

/// A part under way; dropped before `finish`, it leaves nothing behind.
pub(crate) struct Part {
    writer: ArrowWriter<io::BufWriter<std::fs::File>>,
    staged: Staged,
}

impl Part {
    pub(crate) fn create(path: &Path, schema: &SchemaRef) -> anyhow::Result<Self> {
        let mut staged = Staged::create(path)?;
        let file = staged.file().try_clone().map_err(|cause| staged.failed(cause))?;
        let writer = ArrowWriter::try_new(io::BufWriter::new(file), schema.clone(), Some(properties(schema)))
            .with_context(|| path.display().to_string())?;
        Ok(Self { writer, staged })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        self.writer.write(batch).with_context(|| self.staged.target().display().to_string())
    }

    /// Brings the part to the disk and gives it its name.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let Self { writer, staged } = self;
        let shown = || staged.target().display().to_string();
        writer.into_inner().with_context(shown)?.into_inner().map_err(io::Error::from).with_context(shown)?;
        Ok(staged.commit(true)?)
    }
}

fn properties(schema: &SchemaRef) -> WriterProperties {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let mut properties = WriterProperties::builder().set_compression(zstd).set_max_row_group_row_count(Some(ROW_GROUP));
    for field in schema.fields() {
        if let DataType::FixedSizeList(element, _) = field.data_type() {
            // Numbers of embeddings hardly repeat: neither codec nor dictionary nor bounds would find anything. Those in int8
            // do: Parquet has no type of one byte and stores them as four, but a dictionary's indices to 255 values have 8
            // bits. Of 100,000 × 256 numbers, pyarrow writes 1.02 bytes a number so, 1.12 as differences
            // (DELTA_BINARY_PACKED), 1.38 under zstd and 4.02 plain, and reads all of them about as fast. zstd on top saves a
            // tenth more and takes half again the time to read.
            let is_int8 = *element.data_type() == DataType::Int8;
            let path = ColumnPath::from(vec![field.name().clone(), "list".to_owned(), element.name().clone()]);
            properties = properties
                .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
                .set_column_dictionary_enabled(path.clone(), is_int8)
                .set_column_statistics_enabled(path, EnabledStatistics::None);
        }
    }
    properties.build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::ArrayRef;
    use arrow_schema::{Field, Schema};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::columns::{Dtype, embedding_columns};

    #[test]
    fn embeddings_take_the_bytes_that_their_format_promises() {
        const ROWS: usize = 20_000;
        const WIDTH: usize = 256;
        // Twelve drawn numbers added up are spread as those of an embedding.
        let mut state = 1u64;
        let mut drawn = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let numbers: Vec<f32> = (0..ROWS * WIDTH).map(|_| (0..12).map(|_| drawn()).sum()).collect();
        let rows: Vec<usize> = (0..ROWS).collect();
        for (dtype, bytes) in [(Dtype::F32, 4.0), (Dtype::F16, 2.0), (Dtype::Int8, 1.0)] {
            let columns = embedding_columns(&numbers, &rows, ROWS, WIDTH, dtype, &model::Ranges::default()).unwrap();
            let names = ["embedding", "embedding_scale"];
            let field = |(name, column): (&str, &ArrayRef)| Field::new(name, column.data_type().clone(), true);
            let schema = Arc::new(Schema::new(names.into_iter().zip(&columns).map(field).collect::<Vec<_>>()));
            let folder = tempfile::tempdir().unwrap();
            let path = path(folder.path(), 0, 0);
            let mut part = Part::create(&path, &schema).unwrap();
            part.write(&RecordBatch::try_new(schema, columns.clone()).unwrap()).unwrap();
            part.finish().unwrap();
            let size = fs::metadata(&path).unwrap().len() as f64;
            // A tenth above, and a scale and marks of the list for each row.
            let most = ROWS as f64 * (WIDTH as f64 * bytes * 1.1 + 8.0);
            assert!(size <= most, "{dtype}: {size} bytes, expected at most {most}");
            let read = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&path).unwrap()).unwrap();
            let read = read.with_batch_size(ROWS).build().unwrap().next().unwrap().unwrap();
            assert_eq!(read.columns(), columns, "{dtype}");
        }
    }
}

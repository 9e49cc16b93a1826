//! TensorBoard event files: scalars over the optimizer steps.
//!
//! A file is a row of TFRecords (`tensorflow/core/lib/io/record_writer.h`), each of them an `Event` message
//! (`tensorflow/core/util/event.proto`). Of the messages only what a scalar needs is written, which is why no protobuf
//! library is.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;

use crate::{epoch::Epoch, log::StepPoint};

/// The event file of a run under way. The figures of a step or an epoch are handed to the system together, so that a
/// run that is killed has lost none, and TensorBoard shows a run while it goes on.
#[derive(Debug)]
pub(crate) struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventWriter {
    /// Starts a file in `dir`, which is made if it is missing.
    pub(crate) fn create(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        // Readers take a folder's files in the order of their names.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let path = dir.join(format!("events.out.tfevents.{:010}.{:09}", now.as_secs(), now.subsec_nanos()));
        let file = File::create_new(&path).with_context(|| path.display().to_string())?;
        let mut writer = Self { path, file: BufWriter::new(file) };
        writer.write(0, &Content::FileVersion)?;
        writer.flush()?;
        Ok(writer)
    }

    /// Adds one value of the series named `tag`, such as `train/loss`.
    fn scalar(&mut self, tag: &str, value: f64, step: u64) -> anyhow::Result<()> {
        self.write(step, &Content::Scalar(tag, value as f32))
    }

    /// Adds the figures of a logged step.
    pub(crate) fn step(&mut self, point: &StepPoint) -> anyhow::Result<()> {
        self.scalar("train/loss", point.loss, point.step)?;
        self.scalar("train/learning_rate", point.learning_rate, point.step)?;
        self.scalar("train/grad_norm", point.grad_norm, point.step)?;
        let (name, speed) = point.speed.named();
        self.scalar(&format!("train/{name}"), speed, point.step)?;
        self.flush()
    }

    /// Adds the dev figures of an epoch; a correlation that is undefined is left out.
    pub(crate) fn epoch(&mut self, epoch: &Epoch) -> anyhow::Result<()> {
        for dev in &epoch.dev {
            for figure in dev.figures() {
                if let Some(value) = (figure.value)(dev) {
                    self.scalar(&format!("dev/{}/{}", dev.data, figure.name), value, epoch.step)?;
                }
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let flushed = self.file.flush();
        self.named(flushed)
    }

    fn write(&mut self, step: u64, content: &Content<'_>) -> anyhow::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let written = self.file.write_all(&record(&event(now.as_secs_f64(), step, content)));
        self.named(written)
    }

    fn named(&self, result: io::Result<()>) -> anyhow::Result<()> {
        result.with_context(|| self.path.display().to_string())
    }
}

/// What an event says.
enum Content<'a> {
    /// The first of a file.
    FileVersion,
    Scalar(&'a str, f32),
}

/// A TFRecord: length, its checksum, data, its checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc32c(&length).to_le_bytes(), data, &masked_crc32c(data).to_le_bytes()].concat()
}

/// CRC-32C (Castagnoli), rotated and shifted as TFRecords have it (`tensorflow/core/lib/hash/crc32c.h`).
fn masked_crc32c(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Bit by bit: a table would be faster, and a run writes a few hundred bytes per log.
fn crc32c(data: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let shift = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
    !data.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
}

/// An `Event` message.
fn event(wall_time: f64, step: u64, content: &Content<'_>) -> Vec<u8> {
    let mut event = vec![key(1, 1)]; // wall_time: double
    event.extend(wall_time.to_le_bytes());
    if step > 0 {
        event.push(key(2, 0)); // step: int64
        varint(&mut event, step);
    }
    match content {
        Content::FileVersion => message(&mut event, 3, b"brain.Event:2"),
        Content::Scalar(tag, number) => {
            let mut value = Vec::new();
            message(&mut value, 1, tag.as_bytes());
            value.push(key(2, 5)); // simple_value: float
            value.extend(number.to_le_bytes());
            let mut summary = Vec::new();
            message(&mut summary, 1, &value);
            message(&mut event, 5, &summary);
        }
    }
    event
}

/// The key of a protobuf field: its number and how it is laid out (0 varint, 1 eight bytes, 2 length and bytes, 5 four
/// bytes).
fn key(field: u8, layout: u8) -> u8 {
    field << 3 | layout
}

/// A field of bytes, text or a message.
fn message(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(key(field, 2));
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{figures::DevFigures, speed::Speed};

    /// The events of a file as (step, the rest of the message), after its checksums were found right.
    fn events(path: &Path) -> Vec<(u64, Vec<u8>)> {
        let bytes = fs::read(path).unwrap();
        let (mut rest, mut events) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let (data, end) = (&rest[12..12 + length], 16 + length);
            assert_eq!(rest[8..12], masked_crc32c(&rest[..8]).to_le_bytes());
            assert_eq!(rest[12 + length..end], masked_crc32c(data).to_le_bytes());
            assert_eq!(data[0], 0x09); // the wall time
            let (mut step, mut start) = (0, 9);
            if data[9] == 0x10 {
                let bytes = data[10..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
                step = data[10..10 + bytes].iter().rev().fold(0, |step, byte| step << 7 | u64::from(byte & 0x7f));
                start = 10 + bytes;
            }
            events.push((step, data[start..].to_vec()));
            rest = &rest[end..];
        }
        events
    }

    fn scalars(path: &Path) -> Vec<(String, f32, u64)> {
        let scalar = |(step, data): (u64, Vec<u8>)| {
            // summary { value { tag, simple_value } }, each of them shorter than 128 bytes
            let summary = data.strip_prefix(&[0x2a])?;
            let tag = usize::from(summary[4]);
            let value = &summary[5 + tag..];
            assert_eq!((value[0], value.len()), (0x15, 5));
            let number = f32::from_le_bytes(value[1..].try_into().unwrap());
            Some((String::from_utf8(summary[5..5 + tag].to_vec()).unwrap(), number, step))
        };
        events(path).into_iter().filter_map(scalar).collect()
    }

    #[test]
    fn the_checksum_is_crc32c() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283); // the check value of CRC-32/ISCSI
    }

    // from tensorboard.compat.proto.event_pb2 import Event
    // from tensorboard.compat.proto.summary_pb2 import Summary
    // from tensorboard.summary.writer.record_writer import RecordWriter
    // def record(event):
    //     file = io.BytesIO(); RecordWriter(file).write(event.SerializeToString()); return file.getvalue().hex()
    // record(Event(wall_time=1.5, file_version="brain.Event:2"))
    // record(Event(wall_time=1.5, step=300, summary=Summary(value=[Summary.Value(tag="train/loss", simple_value=0.1)])))
    #[test]
    fn a_record_has_the_bytes_of_tensorboards_own_writer() {
        let hex = |content: Content<'_>, step| {
            record(&event(1.5, step, &content)).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(
            hex(Content::FileVersion, 0),
            "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c"
        );
        assert_eq!(
            hex(Content::Scalar("train/loss", 0.1), 300),
            "2100000000000000017becf609000000000000f83f10ac022a130a110a0a747261696e2f6c6f737315cdcccc3dc67fe0f6"
        );
    }

    #[test]
    fn the_figures_of_a_step_and_of_an_epoch_can_be_read_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(&folder.path().join("new/events")).unwrap();
        let path = writer.path.clone();
        let (loss, learning_rate, grad_norm, speed) = (0.5, 2e-5, 1.25, Speed::Pairs(200.0));
        let point = StepPoint { epoch: 1, step: 70_000, loss, learning_rate, grad_norm, speed };
        writer.step(&point).unwrap();
        assert_eq!(scalars(&path).len(), 4);
        let dev = DevFigures {
            data: "kor-sts:dev".to_owned(),
            pairs: 1_500,
            pearson: Some(0.75),
            spearman: None,
            f1: Some(0.625),
            accuracy: None,
            loss: 1.5,
        };
        let epoch = Epoch { epoch: 1, step: 70_001, train_loss: Some(0.5), speed: Some(speed), dev: vec![dev] };
        writer.epoch(&epoch).unwrap();
        let expected = [
            ("train/loss", 0.5, 70_000),
            ("train/learning_rate", 2e-5, 70_000),
            ("train/grad_norm", 1.25, 70_000),
            ("train/pairs_per_second", 200.0, 70_000),
            ("dev/kor-sts:dev/pearson", 0.75, 70_001),
            ("dev/kor-sts:dev/f1", 0.625, 70_001),
            ("dev/kor-sts:dev/loss", 1.5, 70_001),
        ];
        assert_eq!(scalars(&path), expected.map(|(tag, value, step)| (tag.to_owned(), value, step)));
    }
}

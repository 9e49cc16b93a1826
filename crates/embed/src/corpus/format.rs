//! The number format in which a corpus is scanned, and how far its scores may be off.
//!
//! A scan costs what it reads, so a format of fewer bytes finds candidates faster. Each row's error is known, and with it
//! a bound on that of every score: the candidates within the bound are scored again in f32, and the best of them are the
//! best of all.

use std::{fmt, path::Path, str::FromStr};

use kernels::{scan, scan_bf16, scan_int8};
use serde::{Deserialize, Serialize};

use super::mapped::Mapped;
use crate::quantize::quantize;

/// Number format of the embeddings that every search reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScanFormat {
    /// 4 bytes a number.
    F32,
    /// 2 bytes a number.
    Bf16,
    /// 1 byte a number, and a scale a row.
    #[default]
    Int8,
}

impl ScanFormat {
    pub(super) const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Adds a row to the numbers and scales of others; returns how far it is from what now stands for it.
    fn encode(self, vector: &[f32], into: &mut Vec<u8>, scales: &mut Vec<f32>) -> f32 {
        match self {
            Self::F32 => 0.0,
            Self::Bf16 => {
                let rounded: Vec<half::bf16> = vector.iter().map(|&x| half::bf16::from_f32(x)).collect();
                into.extend(rounded.iter().flat_map(|x| x.to_bits().to_le_bytes()));
                distance(vector, rounded.iter().map(|x| x.to_f32()))
            }
            Self::Int8 => {
                let start = into.len();
                into.resize(start + vector.len(), 0);
                let numbers: &mut [i8] = bytemuck::cast_slice_mut(&mut into[start..]);
                let scale = quantize(vector, numbers);
                scales.push(scale);
                distance(vector, numbers.iter().map(|&x| f32::from(x) * scale))
            }
        }
    }
}

impl fmt::Display for ScanFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ScanFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| "expected f32, bf16 or int8".to_owned())
    }
}

fn distance(vector: &[f32], rounded: impl Iterator<Item = f32>) -> f32 {
    vector.iter().zip(rounded).map(|(x, y)| (x - y) * (x - y)).sum::<f32>().sqrt()
}

/// What grows with the rows of an index in the format that is scanned.
#[derive(Default)]
pub(super) struct Encoded {
    pub(super) numbers: Vec<u8>,
    pub(super) scales: Vec<f32>,
    /// Largest distance of a row from what stands for it.
    pub(super) error: f32,
}

impl Encoded {
    pub(super) fn add(&mut self, vector: &[f32], format: ScanFormat) {
        self.error = self.error.max(format.encode(vector, &mut self.numbers, &mut self.scales));
    }
}

/// Its files within an index.
pub(super) const NUMBERS: &str = "scanned.bin";
pub(super) const SCALES: &str = "scales.f32";

/// The rows in the format that is scanned.
#[derive(Debug)]
pub(super) enum Scanned {
    /// The very vectors.
    F32,
    Bf16(Mapped<u16>),
    Int8(Mapped<i8>, Mapped<f32>),
}

/// A query in that format.
pub(super) enum Query<'a> {
    Float(&'a [f32]),
    Int8 { numbers: Vec<i16>, scale: f32 },
}

impl Scanned {
    pub(super) fn open(dir: &Path, format: ScanFormat, rows: usize, width: usize) -> anyhow::Result<Self> {
        let path = dir.join(NUMBERS);
        let scanned = match format {
            ScanFormat::F32 => return Ok(Self::F32),
            ScanFormat::Bf16 => Self::Bf16(Mapped::open(&path, rows * width)?),
            ScanFormat::Int8 => {
                let scales = Mapped::open(&dir.join(SCALES), rows)?;
                Self::Int8(Mapped::open(&path, rows * width)?, scales)
            }
        };
        match &scanned {
            Self::Bf16(numbers) => numbers.fetch(),
            Self::Int8(numbers, _) => numbers.fetch(),
            Self::F32 => {}
        }
        Ok(scanned)
    }

    /// A query, and how far a score may be off with it, where no row is further than `error` from what stands for it.
    pub(super) fn query<'a>(&self, query: &'a [f32], error: f32) -> (Query<'a>, f32) {
        // Beside what rounding gives, sums in another order.
        const SUMS: f32 = 1e-5;
        match self {
            Self::F32 => (Query::Float(query), 0.0),
            Self::Bf16(_) => (Query::Float(query), error + SUMS),
            Self::Int8(..) => {
                let mut rounded = vec![0; query.len()];
                let scale = quantize(query, &mut rounded);
                let numbers: Vec<i16> = rounded.into_iter().map(i16::from).collect(); // as the kernel takes them
                // |q·x − q̂·x̂| ≤ |q − q̂| |x| + |q̂| |x − x̂|, with |x| = 1 and |q̂| ≤ 1 + |q − q̂|
                let own = distance(query, numbers.iter().map(|&x| f32::from(x) * scale));
                (Query::Int8 { numbers, scale }, own + (1.0 + own) * error + SUMS)
            }
        }
    }

    /// Scores of the rows from `start` on, as many as there are `scores`.
    pub(super) fn scan(&self, vectors: &[f32], start: usize, width: usize, query: &Query<'_>, scores: &mut [f32]) {
        let rows = start * width..(start + scores.len()) * width;
        match (self, query) {
            (Self::F32, Query::Float(query)) => scan(&vectors[rows], query, scores),
            (Self::Bf16(numbers), Query::Float(query)) => scan_bf16(&numbers.numbers()[rows], query, scores),
            (Self::Int8(numbers, scales), Query::Int8 { numbers: query, scale }) => {
                let mut sums = vec![0; scores.len()];
                scan_int8(&numbers.numbers()[rows], query, &mut sums);
                let scales = &scales.numbers()[start..];
                for ((score, sum), row_scale) in scores.iter_mut().zip(sums).zip(scales) {
                    *score = sum as f32 * row_scale * scale;
                }
            }
            _ => unreachable!("a query is in the format of its rows"),
        }
    }
}

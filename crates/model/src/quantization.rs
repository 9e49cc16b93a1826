//! Embeddings in a byte or a bit a number.
//!
//! Source: sentence-transformers, `quantize_embeddings`.

use std::{fmt, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, read_json};

/// What stands for each number of an embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Quantization {
    /// One of 256 steps of its dimension's range, from −128 on.
    Int8,
    /// The same, from 0 on.
    Uint8,
    /// Whether it is above 0: 8 numbers a byte, the first in the highest bit, less 128.
    Binary,
    /// The same bytes as they are.
    Ubinary,
}

/// The embedding that is handed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Quantized {
    /// Bytes with a sign.
    Signed(Vec<i8>),
    /// Bytes without.
    Unsigned(Vec<u8>),
}

impl Quantized {
    /// The bytes as they lie in memory.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Signed(numbers) => numbers.iter().map(|x| x.cast_unsigned()).collect(),
            Self::Unsigned(numbers) => numbers.clone(),
        }
    }
}

/// The range of each dimension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranges {
    /// The least number of each dimension.
    pub min: Vec<f32>,
    /// The largest.
    pub max: Vec<f32>,
}

impl Ranges {
    /// Those of some embeddings, which all have `width` numbers.
    ///
    /// # Panics
    /// If there is none.
    pub fn of<'a>(embeddings: impl IntoIterator<Item = &'a [f32]>) -> Self {
        let mut embeddings = embeddings.into_iter();
        let first = embeddings.next().expect("ranges are those of some embeddings");
        let (mut min, mut max) = (first.to_vec(), first.to_vec());
        for embedding in embeddings {
            for ((min, max), x) in min.iter_mut().zip(&mut max).zip(embedding) {
                (*min, *max) = (min.min(*x), max.max(*x));
            }
        }
        Self { min, max }
    }

    /// Reads a file of two lists, `min` and `max`.
    ///
    /// # Errors
    /// Where it is none, or not of embeddings of `width` numbers.
    pub fn read(path: &Path, width: usize) -> Result<Self, Error> {
        let ranges: Self = read_json(path)?;
        if ranges.min.len() != width || ranges.max.len() != width {
            let (min, max) = (ranges.min.len(), ranges.max.len());
            let what = format!("min has {min} numbers and max {max}, expected {width}, the numbers of an embedding");
            return Err(Error::invalid(path, what));
        }
        let is_range = |(min, max): (&f32, &f32)| min.is_finite() && max.is_finite() && min <= max;
        match ranges.min.iter().zip(&ranges.max).position(|range| !is_range(range)) {
            Some(place) => Err(Error::invalid(path, format!("dimension {place}: min is above max, or no number"))),
            None => Ok(ranges),
        }
    }

    /// The step of each number's range that it is in, from 0 to 255.
    fn steps(&self, embedding: &[f32]) -> impl Iterator<Item = u8> {
        embedding.iter().zip(&self.min).zip(&self.max).map(|((x, min), max)| {
            let step = (max - min) / 255.0;
            let step = if step == 0.0 { 1.0 } else { step };
            ((x - min) / step).floor().clamp(0.0, 255.0) as u8
        })
    }
}

impl Quantization {
    const ALL: [Self; 4] = [Self::Int8, Self::Uint8, Self::Binary, Self::Ubinary];

    fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Uint8 => "uint8",
            Self::Binary => "binary",
            Self::Ubinary => "ubinary",
        }
    }

    /// Whether it takes the range of each dimension.
    pub fn has_ranges(self) -> bool {
        matches!(self, Self::Int8 | Self::Uint8)
    }

    /// Whether its bytes have a sign.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Int8 | Self::Binary)
    }

    /// Bytes of an embedding of `width` numbers.
    pub fn bytes(self, width: usize) -> usize {
        if self.has_ranges() { width } else { width.div_ceil(8) }
    }

    /// What stands for an embedding; `ranges` are asked for where [`Quantization::has_ranges`].
    pub fn quantize(self, embedding: &[f32], ranges: &Ranges) -> Quantized {
        let bits = || {
            let byte = |numbers: &[f32]| {
                let bit = |(place, x): (usize, &f32)| u8::from(*x > 0.0) << (7 - place);
                numbers.iter().enumerate().map(bit).sum::<u8>()
            };
            embedding.chunks(8).map(byte)
        };
        // Less 128.
        let signed = |byte: u8| (byte ^ 0x80).cast_signed();
        match self {
            Self::Int8 => Quantized::Signed(ranges.steps(embedding).map(signed).collect()),
            Self::Uint8 => Quantized::Unsigned(ranges.steps(embedding).collect()),
            Self::Binary => Quantized::Signed(bits().map(signed).collect()),
            Self::Ubinary => Quantized::Unsigned(bits().collect()),
        }
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Quantization {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|quantization| quantization.name() == text);
        found.ok_or_else(|| "expected int8, uint8, binary or ubinary".to_owned())
    }
}

impl TryFrom<String> for Quantization {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Quantization> for String {
    fn from(quantization: Quantization) -> Self {
        quantization.to_string()
    }
}

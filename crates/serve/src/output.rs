//! How the embeddings of a request are handed on: how many of their numbers, and in which format.

use std::borrow::Cow;

use model::{Matryoshka, Quantization, Quantized, Ranges, SimilarityFunction, normalize};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::error::ApiError;

/// What stands for each number of an embedding, as sentence-transformers' `quantize_embeddings` gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputDtype {
    /// The number.
    #[default]
    Float,
    /// One of 256 steps of its dimension's range, from -128 on: the server is started with `--ranges`.
    Int8,
    /// The same from 0 on.
    Uint8,
    /// A bit, whether it is above 0: 8 numbers a byte, less 128.
    Binary,
    /// The same bytes as they are.
    Ubinary,
}

impl OutputDtype {
    fn quantization(self) -> Option<Quantization> {
        match self {
            Self::Float => None,
            Self::Int8 => Some(Quantization::Int8),
            Self::Uint8 => Some(Quantization::Uint8),
            Self::Binary => Some(Quantization::Binary),
            Self::Ubinary => Some(Quantization::Ubinary),
        }
    }
}

/// The numbers of an embedding.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Numbers {
    /// As they are.
    Float(Vec<f32>),
    /// What stands for them.
    Quantized(Quantized),
}

// A list of whole numbers is one of numbers: two alternatives would not exclude each other.
impl PartialSchema for Numbers {
    fn schema() -> RefOr<Schema> {
        Vec::<f32>::schema()
    }
}

impl ToSchema for Numbers {
    fn name() -> Cow<'static, str> {
        "Numbers".into()
    }
}

impl Numbers {
    /// As they lie in memory, the first byte of a number first.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Float(numbers) => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
            Self::Quantized(quantized) => quantized.bytes(),
        }
    }
}

/// What can be asked of a model's embeddings.
#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    /// Numbers of an embedding.
    pub(crate) width: usize,
    /// How many of them may be asked for.
    pub(crate) matryoshka: Matryoshka,
    /// Whether the embeddings have the norm 1.
    pub(crate) normalizes: bool,
    /// What they were made for.
    pub(crate) similarity: SimilarityFunction,
    /// Of each dimension, if the server was given any.
    pub(crate) ranges: Option<Ranges>,
}

impl Outputs {
    /// What a request asks for, where it can be had. Without `normalize`, embeddings are the model's own.
    pub(crate) fn of(
        &self,
        dimensions: Option<usize>,
        dtype: Option<OutputDtype>,
        normalize: bool,
    ) -> Result<Output<'_>, ApiError> {
        let kept = dimensions.unwrap_or(self.width);
        let refused = |what| ApiError::Invalid(format!("`dimensions` is {kept}, {what}"));
        self.matryoshka.check(kept, self.width, Some("the server's --allow-truncation")).map_err(refused)?;
        let quantization = dtype.unwrap_or_default().quantization();
        let ranges = match (quantization, &self.ranges) {
            (Some(quantization), None) if quantization.has_ranges() => {
                return Err(ApiError::Invalid(format!(
                    "`output_dtype` {quantization} takes the range of each dimension, and the server was given none: it \
                     is started with them by --ranges; binary and ubinary take none"
                )));
            }
            (Some(quantization), Some(ranges)) if quantization.has_ranges() && ranges.min.len() != kept => {
                let found = ranges.min.len();
                return Err(ApiError::Invalid(format!(
                    "`output_dtype` {quantization}: the server's --ranges are of {found} numbers, and `dimensions` is {kept}"
                )));
            }
            (_, ranges) => ranges.as_ref(),
        };
        // What was cut off is made up for where the model's embeddings have the norm 1.
        let normalize = normalize || self.normalizes && kept < self.width;
        Ok(Output { kept, normalize, quantization, ranges })
    }
}

/// What a request asks for.
pub(crate) struct Output<'a> {
    kept: usize,
    normalize: bool,
    quantization: Option<Quantization>,
    ranges: Option<&'a Ranges>,
}

impl Output<'_> {
    /// The numbers that are handed on for a model's embedding.
    pub(crate) fn numbers(&self, embedding: &[f32]) -> Numbers {
        let mut kept = embedding[..self.kept].to_vec();
        if self.normalize {
            normalize(&mut kept);
        }
        match self.quantization {
            None => Numbers::Float(kept),
            Some(quantization) => {
                let none = Ranges::default(); // of those that take no ranges
                Numbers::Quantized(quantization.quantize(&kept, self.ranges.unwrap_or(&none)))
            }
        }
    }

    /// How many are written for so many embeddings.
    pub(crate) fn count(&self, embeddings: usize) -> usize {
        embeddings * self.quantization.map_or(self.kept, |quantization| quantization.bytes(self.kept))
    }
}

//! The number format that an encoder computes in.

use std::{fmt, str::FromStr};

use kernels::Format;
use tch::Kind;

/// The number format of the encoder's layers. Embedding tables, pooling and similarity are f32 in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point: the reference.
    #[default]
    F32,
    /// bfloat16: half the memory, and faster where the processor or GPU computes in it.
    Bf16,
    /// 8-bit integers: a quarter of the memory, and faster still. On processors, and not for training.
    Int8,
}

impl Precision {
    /// Every precision, in the order that messages name them.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

    /// The format of libtorch's tensors, where it has one.
    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Precision::F32 => Some(Kind::Float),
            Precision::Bf16 => Some(Kind::BFloat16),
            Precision::Int8 => None,
        }
    }

    /// The format of products on a processor.
    pub(crate) fn format(self) -> Format {
        match self {
            Precision::F32 => Format::F32,
            Precision::Bf16 => Format::Bf16,
            Precision::Int8 => Format::Int8,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.to_string() == text)
            .ok_or_else(|| format!("expected one of {}", Self::ALL.map(|precision| precision.to_string()).join(", ")))
    }
}

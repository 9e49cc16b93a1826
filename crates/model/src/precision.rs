//! The number format that an encoder computes in.

use std::{fmt, str::FromStr};

use kernels::{Format, Processor};
use tch::{Device, Kind};

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

/// The precision that the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PrecisionChoice {
    /// The fastest whose embeddings rank like those of f32; see [`PrecisionChoice::on`].
    #[default]
    Auto,
    /// This one.
    Only(Precision),
}

impl PrecisionChoice {
    /// The precision on a device. `Auto` is a rule, so that a machine always gives the same embeddings: bf16 on a GPU, int8
    /// on a processor with vector instructions, f32 on any other.
    pub fn on(self, device: Device) -> Precision {
        match self {
            Self::Only(precision) => precision,
            Self::Auto if device != Device::Cpu => Precision::Bf16,
            Self::Auto if Processor::current().is_vectorized() => Precision::Int8,
            Self::Auto => Precision::F32,
        }
    }
}

impl fmt::Display for PrecisionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Only(precision) => precision.fmt(f),
        }
    }
}

impl FromStr for PrecisionChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Only).map_err(|error: String| error.replace("one of ", "one of auto, ")),
        }
    }
}

impl From<PrecisionChoice> for String {
    fn from(choice: PrecisionChoice) -> Self {
        choice.to_string()
    }
}

impl TryFrom<String> for PrecisionChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_is_named_or_the_devices_fastest() {
        assert_eq!(PrecisionChoice::Auto.on(Device::Cuda(0)), Precision::Bf16);
        let vectorized = Processor::current().is_vectorized();
        let expected = if vectorized { Precision::Int8 } else { Precision::F32 };
        assert_eq!(PrecisionChoice::Auto.on(Device::Cpu), expected);
        for precision in Precision::ALL {
            let choice: PrecisionChoice = precision.to_string().parse().unwrap();
            assert_eq!(choice, PrecisionChoice::Only(precision));
            assert_eq!(choice.on(Device::Cpu), precision);
        }
        let error = "fp16".parse::<PrecisionChoice>().unwrap_err();
        assert_eq!(error, "expected one of auto, f32, bf16, int8");
    }
}

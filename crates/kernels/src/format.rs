//! Number formats of a product's inputs.

use crate::raw;

/// The number format that a linear layer multiplies in; sums and results are f32 in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 32-bit floating point.
    F32,
    /// bfloat16, rounded to nearest even.
    Bf16,
    /// 8-bit integers: weights with one scale per output, activations with one scale and offset per token.
    Int8,
}

impl Format {
    /// Numbers of this format in 32 bits, the unit in which products read their inputs.
    pub(crate) fn per_group(self) -> usize {
        match self {
            Format::F32 => 1,
            Format::Bf16 => 2,
            Format::Int8 => 4,
        }
    }

    /// Whether this processor multiplies and sums in this format itself: f32 with AVX2 or AVX-512, bf16 with AVX-512-BF16,
    /// int8 with AVX-512-VNNI.
    pub fn has_instruction(self) -> bool {
        raw::has_instruction(self)
    }

    /// Whether products in this format are computed with vector instructions, be they several for one step.
    pub fn is_vectorized(self) -> bool {
        raw::is_vectorized(self)
    }
}

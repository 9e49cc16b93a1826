//! Number formats of a product's inputs.

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

/// Why whatever is neither [`Linear`](crate::Linear) nor what it reads refuses int8.
pub(crate) const INT8_HAS_SCALES: &str = "int8 has scales, which only a linear layer reads: expected f32 or bf16";

impl Format {
    /// All formats.
    pub const ALL: [Format; 3] = [Format::F32, Format::Bf16, Format::Int8];

    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        4 / self.per_group()
    }

    /// Numbers of this format in 32 bits, the unit in which products read their inputs.
    pub(crate) fn per_group(self) -> usize {
        match self {
            Format::F32 => 1,
            Format::Bf16 => 2,
            Format::Int8 => 4,
        }
    }
}

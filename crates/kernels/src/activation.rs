//! Activation functions over whole matrices, forward and backward.

use crate::{
    rows::Rows,
    vector::{
        gelu, gelu_derivative, gelu_tanh, gelu_tanh_derivative, relu, relu_derivative, silu, silu_derivative, tanh,
        tanh_derivative,
    },
};

/// A function of each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x · Φ(x).
    Gelu,
    /// GELU by the hyperbolic tangent.
    GeluTanh,
    /// max(x, 0).
    Relu,
    /// x · σ(x).
    Silu,
    /// tanh x.
    Tanh,
}

impl Activation {
    /// The function of each number of a row, in place.
    #[inline(always)]
    pub(crate) fn row(self, row: &mut [f32]) {
        match self {
            Activation::Gelu => gelu(row),
            Activation::GeluTanh => gelu_tanh(row),
            Activation::Relu => relu(row),
            Activation::Silu => silu(row),
            Activation::Tanh => tanh(row),
        }
    }

    /// The function of (tokens, width), in place, and taken up by `out`.
    pub fn apply(self, matrix: &mut [f32], out: &mut Rows) {
        out.encode_with(
            matrix,
            #[inline(always)]
            |_, row| self.row(row),
        );
    }

    /// The function of the first half of each row, times the second half: (tokens, 2 · width) to (tokens, width), taken up
    /// by `out`; what `matrix` held is lost.
    pub fn gate(self, matrix: &mut [f32], out: &mut Rows) {
        let width = out.width();
        out.encode_parts(
            matrix,
            2 * width,
            #[inline(always)]
            |row| {
                let (values, gates) = row.split_at_mut(width);
                self.row(values);
                values.iter_mut().zip(gates).for_each(|(value, gate)| *value *= *gate);
            },
        );
    }

    /// A gradient with respect to the function's value, (tokens, width), becomes that with respect to its argument `x`, and
    /// is taken up by `out`.
    ///
    /// # Panics
    /// If `x` is in int8.
    pub fn backward(self, grad: &mut [f32], x: &Rows, out: &mut Rows) {
        macro_rules! encode {
            ($derivative:path) => {
                out.encode_with(
                    grad,
                    #[inline(always)]
                    |token, row| x.scale_by(token, row, $derivative),
                )
            };
        }
        match self {
            Activation::Gelu => encode!(gelu_derivative),
            Activation::GeluTanh => encode!(gelu_tanh_derivative),
            Activation::Relu => encode!(relu_derivative),
            Activation::Silu => encode!(silu_derivative),
            Activation::Tanh => encode!(tanh_derivative),
        }
    }
}

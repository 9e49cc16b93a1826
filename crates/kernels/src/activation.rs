//! Activation functions over whole matrices, forward and backward.

use crate::{
    rows::Rows,
    vector::{gelu, gelu_derivative, gelu_tanh, gelu_tanh_derivative, relu, relu_derivative},
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
}

impl Activation {
    /// The function of each number of a row, in place.
    #[inline(always)]
    pub(crate) fn row(self, row: &mut [f32]) {
        match self {
            Activation::Gelu => gelu(row),
            Activation::GeluTanh => gelu_tanh(row),
            Activation::Relu => relu(row),
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
        }
    }
}

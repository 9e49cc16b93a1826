//! The layer norm with the sum before it, forward and backward.

use kernels::{Dropout, add_column_sums, layer_norm_backward, normalize, vectorize};
use rayon::prelude::*;

use super::parameters::Affine;

/// What a layer norm keeps.
#[derive(Debug, Default)]
pub(super) struct Norm {
    pub(super) normalized: Vec<f32>, // (tokens, hidden), before weight and bias
    scales: Vec<f32>,                // (tokens): 1 / deviation
}

impl Norm {
    /// The norm of `hidden` and what `normalized` holds, after dropout; `hidden` becomes its result.
    pub(super) fn add(&mut self, hidden: &mut [f32], affine: &Affine, eps: f32, dropout: Option<Dropout>) {
        let (weight, bias) = (affine.weight.value, affine.bias.value);
        let width = weight.len();
        self.scales.resize(hidden.len() / width, 0.0);
        let rows = self.normalized.par_chunks_exact_mut(width).zip(hidden.par_chunks_exact_mut(width));
        rows.zip(&mut self.scales).enumerate().with_min_len(8).for_each(|(token, ((normalized, hidden), scale))| {
            vectorize(
                #[inline(always)]
                || {
                    if let Some(dropout) = dropout {
                        dropout.row(token as u32).apply(normalized);
                    }
                    normalized.iter_mut().zip(&*hidden).for_each(|(x, residual)| *x += residual);
                    *scale = normalize(normalized, eps);
                    for ((hidden, x), (weight, bias)) in hidden.iter_mut().zip(normalized).zip(weight.iter().zip(bias))
                    {
                        *hidden = x.mul_add(*weight, *bias);
                    }
                },
            );
        });
    }

    /// From the gradient with respect to the result to that with respect to the sum, in place.
    pub(super) fn backward(&self, grad: &mut [f32], affine: &mut Affine) {
        let weight = affine.weight.value;
        let width = weight.len();
        let row = |token: usize| token * width..(token + 1) * width;
        add_column_sums(
            self.scales.len(),
            affine.weight.grad,
            #[inline(always)]
            |sums, token| {
                let (grad, normalized) = (&grad[row(token)], &self.normalized[row(token)]);
                for (sum, (grad, x)) in sums.iter_mut().zip(grad.iter().zip(normalized)) {
                    *sum = grad.mul_add(*x, *sum);
                }
            },
        );
        add_column_sums(
            self.scales.len(),
            affine.bias.grad,
            #[inline(always)]
            |sums, token| sums.iter_mut().zip(&grad[row(token)]).for_each(|(sum, grad)| *sum += grad),
        );
        let rows = grad.par_chunks_exact_mut(width).zip(self.normalized.par_chunks_exact(width));
        rows.zip(&self.scales).with_min_len(8).for_each(|((grad, normalized), scale)| {
            vectorize(
                #[inline(always)]
                || layer_norm_backward(grad, normalized, *scale, weight),
            );
        });
    }
}

//! Layer norms over whole matrices, with the sums before them; forward and backward.

use rayon::prelude::*;

use crate::{
    dropout::Dropout,
    rows::Rows,
    sums::sum_rows,
    vector::{layer_norm, layer_norm_backward, normalize},
    vectorize::vectorize,
};

/// Rows that one thread works on in a go.
const FEW: usize = 8;

/// A layer norm's parameters, for inference.
#[derive(Debug)]
pub struct LayerNorm {
    /// (width).
    pub weight: Vec<f32>,
    /// (width).
    pub bias: Vec<f32>,
    /// Added to the variance.
    pub eps: f32,
}

impl LayerNorm {
    /// The norm of `matrix`, (tokens, width), and what skipped the layer before it, in place, and taken up by `out`.
    pub fn add(&self, matrix: &mut [f32], residual: &[f32], out: &mut Rows) {
        let width = self.weight.len();
        out.encode_with(
            matrix,
            #[inline(always)]
            |index, row| {
                row.iter_mut().zip(&residual[index * width..]).for_each(|(x, residual)| *x += residual);
                layer_norm(row, &self.weight, &self.bias, self.eps);
            },
        );
    }

    /// The norm of the sums of two tables' rows, each (rows, width), of which `ids` are the numbers: (tokens, width), and
    /// taken up by `out`.
    pub fn embed(&self, tables: [&[f32]; 2], ids: &[(usize, usize)], hidden: &mut Vec<f32>, out: &mut Rows) {
        let width = self.weight.len();
        hidden.resize(ids.len() * width, 0.0);
        out.encode_with(
            hidden,
            #[inline(always)]
            |index, row| {
                let (first, second) = (&tables[0][ids[index].0 * width..], &tables[1][ids[index].1 * width..]);
                row.iter_mut().zip(first.iter().zip(second)).for_each(|(x, (first, second))| *x = first + second);
                layer_norm(row, &self.weight, &self.bias, self.eps);
            },
        );
    }
}

/// What a layer norm keeps in training.
#[derive(Debug, Default)]
pub struct NormTape {
    /// (tokens, width): its input, to be written; then that normalized, before weight and bias.
    pub normalized: Vec<f32>,
    scales: Vec<f32>, // (tokens): 1 / deviation
}

impl NormTape {
    /// The norm of `hidden` and the input, which `dropout` acts on; `hidden` becomes its result.
    pub fn add(&mut self, hidden: &mut [f32], [weight, bias]: [&[f32]; 2], eps: f32, dropout: Option<Dropout>) {
        let width = weight.len();
        self.scales.resize(hidden.len() / width, 0.0);
        let rows = self.normalized.par_chunks_exact_mut(width).zip(hidden.par_chunks_exact_mut(width));
        rows.zip(&mut self.scales).enumerate().with_min_len(FEW).for_each(|(token, ((normalized, hidden), scale))| {
            vectorize(
                #[inline(always)]
                || {
                    if let Some(dropout) = dropout {
                        dropout.row(token as u32).apply_from(0, normalized);
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

    /// From the gradient with respect to the result to that with respect to the sum, in place; adds to the parameters'.
    pub fn backward(&self, grad: &mut [f32], weight: &[f32], [grad_weight, grad_bias]: [&mut [f32]; 2]) {
        let width = weight.len();
        let row = |token: usize| token * width..(token + 1) * width;
        sum_rows(
            self.scales.len(),
            grad_weight,
            #[inline(always)]
            |sums, token| {
                let (grad, normalized) = (&grad[row(token)], &self.normalized[row(token)]);
                for (sum, (grad, x)) in sums.iter_mut().zip(grad.iter().zip(normalized)) {
                    *sum = grad.mul_add(*x, *sum);
                }
            },
        );
        sum_rows(
            self.scales.len(),
            grad_bias,
            #[inline(always)]
            |sums, token| sums.iter_mut().zip(&grad[row(token)]).for_each(|(sum, grad)| *sum += grad),
        );
        let rows = grad.par_chunks_exact_mut(width).zip(self.normalized.par_chunks_exact(width));
        rows.zip(&self.scales).with_min_len(FEW).for_each(|((grad, normalized), scale)| {
            vectorize(
                #[inline(always)]
                || layer_norm_backward(grad, normalized, *scale, weight),
            );
        });
    }
}

//! Norms over whole matrices, with the sums before them; forward, and of layer norms backward.

use rayon::prelude::*;

use crate::{
    dropout::Dropout,
    rows::Rows,
    sums::sum_rows,
    vector::{layer_norm, layer_norm_backward, normalize, rms_norm},
    vectorize::vectorize,
};

/// Rows that one thread works on in a go.
const FEW: usize = 8;

/// A norm's parameters, for inference.
#[derive(Debug)]
pub struct Norm {
    /// (width).
    pub weight: Vec<f32>,
    /// (width), zero where there is none.
    pub bias: Vec<f32>,
    /// Added to the variance, or to the mean square.
    pub eps: f32,
    /// Whether the mean is taken away first, as layer norm does; root mean square norm does not.
    pub is_centred: bool,
}

impl Norm {
    #[inline(always)]
    pub(crate) fn row(&self, row: &mut [f32]) {
        if self.is_centred {
            layer_norm(row, &self.weight, &self.bias, self.eps);
        } else {
            rms_norm(row, &self.weight, self.eps);
        }
    }

    /// The norm of `matrix`, (tokens, width), and what skipped the layer before it, in place, and taken up by `out`.
    pub fn add(&self, matrix: &mut [f32], residual: &[f32], out: &mut Rows) {
        let width = self.weight.len();
        out.encode_with(
            matrix,
            #[inline(always)]
            |index, row| {
                row.iter_mut().zip(&residual[index * width..]).for_each(|(x, residual)| *x += residual);
                self.row(row);
            },
        );
    }

    /// Adds a branch to the residual stream `hidden`, (tokens, width) each, whose norm is taken up by `out`; what `branch`
    /// held is lost.
    pub fn add_before(&self, hidden: &mut [f32], branch: &mut [f32], out: &mut Rows) {
        out.encode_beside(
            branch,
            hidden,
            #[inline(always)]
            |branch, hidden| {
                hidden.iter_mut().zip(&*branch).for_each(|(hidden, branch)| *hidden += branch);
                branch.copy_from_slice(hidden);
                self.row(branch);
            },
        );
    }

    /// The norm of `matrix`, (tokens, width), in place, and taken up by `out`.
    pub fn encode(&self, matrix: &mut [f32], out: &mut Rows) {
        out.encode_with(
            matrix,
            #[inline(always)]
            |_, row| self.row(row),
        );
    }

    /// The norm of (tokens, width), in place.
    pub fn apply(&self, matrix: &mut [f32]) {
        matrix.par_chunks_exact_mut(self.weight.len()).with_min_len(FEW).for_each(|row| {
            vectorize(
                #[inline(always)]
                || self.row(row),
            );
        });
    }
}

/// The sums of rows of tables, each (rows, width): one of `tables[0]` for the first number of each of `ids`, and where there
/// is a second table, one for the second: (tokens, width).
pub fn embed(tables: &[&[f32]], width: usize, ids: &[(usize, usize)], hidden: &mut Vec<f32>) {
    hidden.resize(ids.len() * width, 0.0);
    hidden.par_chunks_exact_mut(width).zip(ids).with_min_len(FEW).for_each(|(row, &(first, second))| {
        vectorize(
            #[inline(always)]
            || {
                row.copy_from_slice(&tables[0][first * width..][..width]);
                if let Some(table) = tables.get(1) {
                    row.iter_mut().zip(&table[second * width..]).for_each(|(x, second)| *x += second);
                }
            },
        );
    });
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

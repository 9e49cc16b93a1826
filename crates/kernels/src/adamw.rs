//! AdamW's step in one pass over parameter, gradient and moments: their traffic with memory is what it costs.

use rayon::prelude::*;

use crate::vectorize::vectorize;

/// Numbers that a thread works on at once: those of four vectors this long fit a core's second cache.
const CHUNK: usize = 16 * 1024;

/// What one step has in common for all parameters.
#[derive(Clone, Copy, Debug)]
pub struct AdamWStep {
    /// Decay rates of the first and the second moment.
    pub betas: (f32, f32),
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Share of the parameter that is taken away first: learning rate · weight decay.
    pub decay: f32,
    /// Learning rate / (1 − β₁ᵗ).
    pub step_size: f32,
    /// √(1 − β₂ᵗ).
    pub correction2: f32,
    /// Factor on the gradient, of clipping.
    pub grad_scale: f32,
}

/// Steps along a gradient, and sets it to zero. Source: `torch.optim.AdamW`.
pub fn adamw(step: &AdamWStep, value: &mut [f32], grad: &mut [f32], exp_avg: &mut [f32], exp_avg_sq: &mut [f32]) {
    let AdamWStep { betas: (beta1, beta2), eps, decay, step_size, correction2, grad_scale } = *step;
    let chunks = value.par_chunks_mut(CHUNK).zip(grad.par_chunks_mut(CHUNK));
    let moments = exp_avg.par_chunks_mut(CHUNK).zip(exp_avg_sq.par_chunks_mut(CHUNK));
    chunks.zip(moments).for_each(|((value, grad), (exp_avg, exp_avg_sq))| {
        vectorize(
            #[inline(always)]
            || {
                let all = value.iter_mut().zip(grad).zip(exp_avg.iter_mut().zip(exp_avg_sq));
                for ((value, grad), (exp_avg, exp_avg_sq)) in all {
                    let g = *grad * grad_scale;
                    *exp_avg = (1.0 - beta1).mul_add(g - *exp_avg, *exp_avg);
                    *exp_avg_sq = (1.0 - beta2).mul_add(g * g - *exp_avg_sq, *exp_avg_sq);
                    let denominator = exp_avg_sq.sqrt() / correction2 + eps;
                    *value -= decay * *value + step_size * *exp_avg / denominator;
                    *grad = 0.0;
                }
            },
        );
    });
}

/// Σ x², in an order that does not depend on the number of threads.
pub fn square_sum(xs: &[f32]) -> f64 {
    let chunk = |chunk: &[f32]| {
        vectorize(
            #[inline(always)]
            || {
                let mut partial = [0.0f64; 16];
                for part in chunk.chunks(16) {
                    partial.iter_mut().zip(part).for_each(|(sum, x)| *sum += f64::from(*x) * f64::from(*x));
                }
                partial.iter().sum::<f64>()
            },
        )
    };
    let partials: Vec<f64> = xs.par_chunks(CHUNK).map(chunk).collect();
    partials.iter().sum()
}

//! Functions of one row of numbers, written so that [`crate::vectorize`] turns their loops into vector instructions. All
//! it is compiled for have fused multiply and add.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const LANES: usize = 16; // partial sums of a reduction, one vector's worth

/// Whether every number of a row is finite: no loop that ends early, which would be no vector loop.
#[inline(always)]
pub(crate) fn is_finite(row: &[f32]) -> bool {
    sum(row.len(), |index| row[index] * 0.0) == 0.0
}

/// Sum of `value` over all indices below `len`, in [`LANES`] partial sums.
#[inline(always)]
fn sum(len: usize, value: impl Fn(usize) -> f32) -> f32 {
    let mut partial = [0.0f32; LANES];
    let whole = len / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, partial) in partial.iter_mut().enumerate() {
            *partial += value(start + lane);
        }
    }
    partial.iter().sum::<f32>() + (whole..len).map(value).sum::<f32>()
}

/// Normalizes a row to mean 0 and variance 1, then scales and shifts it. Source: `torch.nn.functional.layer_norm`.
#[inline(always)]
pub fn layer_norm(row: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    let len = row.len();
    let (weight, bias) = (&weight[..len], &bias[..len]);
    let mean = sum(len, |index| row[index]) / len as f32;
    let variance = sum(len, |index| (row[index] - mean) * (row[index] - mean)) / len as f32;
    let scale = 1.0 / (variance + eps).sqrt();
    for ((x, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
        *x = ((*x - mean) * scale).mul_add(*weight, *bias);
    }
}

/// The row without its mean, over its deviation, in place; returns 1 / deviation.
#[inline(always)]
pub fn normalize(row: &mut [f32], eps: f32) -> f32 {
    let len = row.len();
    let mean = sum(len, |index| row[index]) / len as f32;
    let variance = sum(len, |index| (row[index] - mean) * (row[index] - mean)) / len as f32;
    let scale = 1.0 / (variance + eps).sqrt();
    row.iter_mut().for_each(|x| *x = (*x - mean) * scale);
    scale
}

/// Gradient of a layer norm with respect to its input, in place of that with respect to its output: `normalized` is the
/// row that [`normalize`] left, `scale` what it returned.
#[inline(always)]
pub fn layer_norm_backward(grad: &mut [f32], normalized: &[f32], scale: f32, weight: &[f32]) {
    let len = grad.len();
    let (normalized, weight) = (&normalized[..len], &weight[..len]);
    let mean = sum(len, |index| grad[index] * weight[index]) / len as f32;
    let along = sum(len, |index| grad[index] * weight[index] * normalized[index]) / len as f32;
    for (grad, (normalized, weight)) in grad.iter_mut().zip(normalized.iter().zip(weight)) {
        *grad = scale * (*grad * weight - mean - normalized * along);
    }
}

/// Σ aᵢ bᵢ.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    sum(a.len(), |index| a[index] * b[index])
}

/// x · Φ(x), in place. Source: `torch.nn.functional.gelu(approximate="none")`.
#[inline(always)]
pub fn gelu(row: &mut [f32]) {
    for x in row {
        *x *= erf(*x * FRAC_1_SQRT_2).mul_add(0.5, 0.5);
    }
}

/// GELU by the hyperbolic tangent, in place. Source: `torch.nn.functional.gelu(approximate="tanh")`.
#[inline(always)]
pub fn gelu_tanh(row: &mut [f32]) {
    for x in row {
        let inner = SQRT_2_OVER_PI * (*x + 0.044_715 * *x * *x * *x);
        *x /= 1.0 + exp(-2.0 * inner); // (1 + tanh y) / 2 = 1 / (1 + exp(−2y))
    }
}

/// Derivative of [`gelu`]: Φ(x) + x φ(x).
#[inline(always)]
pub fn gelu_derivative(x: f32) -> f32 {
    let density = exp(-0.5 * x * x) * 0.398_942_3; // 1 / √(2π)
    x.mul_add(density, erf(x * FRAC_1_SQRT_2).mul_add(0.5, 0.5))
}

/// Derivative of [`gelu_tanh`].
#[inline(always)]
pub fn gelu_tanh_derivative(x: f32) -> f32 {
    let share = 1.0 / (1.0 + exp(-2.0 * SQRT_2_OVER_PI * x * (1.0 + 0.044_715 * x * x))); // (1 + tanh y) / 2
    let slope = 2.0 * SQRT_2_OVER_PI * (1.0 + 3.0 * 0.044_715 * x * x); // of 2 y
    share + x * share * (1.0 - share) * slope
}

/// Derivative of [`relu`].
#[inline(always)]
pub fn relu_derivative(x: f32) -> f32 {
    if x > 0.0 { 1.0 } else { 0.0 }
}

/// max(x, 0), in place.
#[inline(always)]
pub fn relu(row: &mut [f32]) {
    for x in row {
        *x = if *x < 0.0 { 0.0 } else { *x }; // keeps NaN
    }
}

/// exp(scale · x) over their sum, in place.
#[inline(always)]
pub(crate) fn softmax(row: &mut [f32], scale: f32) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for (largest, x) in largest.iter_mut().zip(chunk) {
            *largest = if *x > *largest { *x } else { *largest };
        }
    }
    let largest = largest.into_iter().fold(rest, f32::max);
    for x in row.iter_mut() {
        *x = exp((*x - largest) * scale);
    }
    let factor = 1.0 / sum(row.len(), |index| row[index]);
    for x in row {
        *x *= factor;
    }
}

/// The least and the largest of a row.
#[inline(always)]
pub(crate) fn range(row: &[f32]) -> (f32, f32) {
    let mut least = [f32::INFINITY; LANES];
    let mut largest = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied();
    for chunk in chunks {
        for ((x, least), largest) in chunk.iter().zip(&mut least).zip(&mut largest) {
            *least = if *x < *least { *x } else { *least };
            *largest = if *x > *largest { *x } else { *largest };
        }
    }
    let least = least.into_iter().chain(rest.clone()).fold(f32::INFINITY, f32::min);
    (least, largest.into_iter().chain(rest).fold(f32::NEG_INFINITY, f32::max))
}

/// eˣ to 2 units in the last place, for x within −87 and 88; beyond, that of the bound. Source: Cephes, `expf`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it leaves an integer in the low bits
    let x = if x < -87.0 { -87.0 } else { x }; // keeps NaN
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x.mul_add(LOG2_E, ROUND);
    let n = shifted - ROUND;
    let x = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x)); // x − n · ln 2, in two parts
    let series = polynomial(x, [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5]);
    let power = f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23); // 2ⁿ
    series.mul_add(x * x, x + 1.0) * power
}

/// The error function, to 1.5e-7. Source: Abramowitz and Stegun, 7.1.26.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let t = 1.0 / x.abs().mul_add(0.327_591_1, 1.0);
    let series = t * polynomial(t, [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6]);
    (-series).mul_add(exp(-x * x), 1.0).copysign(x)
}

/// A polynomial, its highest coefficient first.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    coefficients.into_iter().fold(0.0, |sum, coefficient| sum.mul_add(x, coefficient))
}

/// bfloat16 bits, rounded to nearest even; NaN stays NaN.
#[inline(always)]
pub(crate) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    (if x.is_nan() { (bits >> 16) | 0x40 } else { rounded }) as u16
}

/// Two numbers in bf16, the first in the low half.
#[inline(always)]
pub(crate) fn pair(low: f32, high: f32) -> u32 {
    u32::from(to_bf16(low)) | (u32::from(to_bf16(high)) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    // torch.nn.functional.gelu(torch.tensor(XS, dtype=torch.float64)), with approximate="none" and "tanh"
    const XS: [f32; 8] = [-6.0, -3.0, -1.0, -0.1, 0.0, 0.5, 2.0, 9.0];
    const GELU: [f64; 8] = [-5.919525e-9, -4.049694e-3, -0.158655254, -0.046017216, 0.0, 0.345731231, 1.954499736, 9.0];
    const GELU_TANH: [f64; 8] =
        [-2.5e-10, -3.637392e-3, -0.158808009, -0.046017145, 0.0, 0.345714010, 1.954597694, 9.0];

    #[test]
    fn activations_equal_pytorchs() {
        for (function, expected) in [(gelu as fn(&mut [f32]), GELU), (gelu_tanh, GELU_TANH)] {
            let mut row = XS;
            function(&mut row);
            for (found, expected) in row.into_iter().zip(expected) {
                assert!((f64::from(found) - expected).abs() < 2e-6, "{found} {expected}");
            }
        }
    }

    #[test]
    fn exp_is_exact_to_two_units_and_keeps_what_is_not_a_number() {
        for step in -8700..=8800 {
            let x = step as f32 * 0.01;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 2.5e-7, "exp({x}) = {}", exp(x));
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn bf16_rounds_to_nearest_even() {
        for (x, bits) in [(1.0f32, 0x3f80), (1.003_906_2, 0x3f80), (1.011_718_8, 0x3f82), (f32::INFINITY, 0x7f80)] {
            assert_eq!(to_bf16(x), bits, "{x}");
        }
        assert!(f32::from_bits(u32::from(to_bf16(f32::NAN)) << 16).is_nan());
    }
}

//! Functions of one row of numbers, written so that [`vectorize`](crate::vectorize) turns their loops into vector
//! instructions. All that it compiles for have fused multiply and add.

use std::f32::consts::LOG2_E;

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const LANES: usize = 16; // partial sums of a reduction, one vector's worth

/// By halves, of which each step is one instruction.
#[inline(always)]
fn total(mut partial: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            partial[lane] += partial[lane + half];
        }
        half /= 2;
    }
    partial[0]
}

/// What `step` makes of a row's numbers in [`LANES`] independent chains, each from `start`, and of the rest in one.
#[inline(always)]
fn fold(row: &[f32], start: f32, step: impl Fn(f32, f32) -> f32) -> ([f32; LANES], f32) {
    let mut partial = [start; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder().iter().fold(start, |rest, x| step(rest, *x));
    for chunk in chunks {
        for (partial, x) in partial.iter_mut().zip(chunk) {
            *partial = step(*partial, *x);
        }
    }
    (partial, rest)
}

/// Sum of `step`s of a row.
#[inline(always)]
fn sum(row: &[f32], step: impl Fn(f32, f32) -> f32) -> f32 {
    let (partial, rest) = fold(row, 0.0, step);
    total(partial) + rest
}

/// Σ aᵢ bᵢ.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut partial = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b[..a.len()].chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for (partial, (a, b)) in partial.iter_mut().zip(a.iter().zip(b)) {
            *partial = a.mul_add(*b, *partial);
        }
    }
    total(partial) + rest
}

/// Mean, and 1 / deviation.
#[inline(always)]
fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let len = row.len() as f32;
    let mean = sum(row, |sum, x| sum + x) / len;
    let variance = sum(row, |sum, x| (x - mean).mul_add(x - mean, sum)) / len;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// Normalizes a row to mean 0 and variance 1, then scales and shifts it. Source: `torch.nn.functional.layer_norm`.
#[inline(always)]
pub(crate) fn layer_norm(row: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    let (mean, scale) = moments(row, eps);
    for ((x, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
        *x = ((*x - mean) * scale).mul_add(*weight, *bias);
    }
}

/// The row over its root mean square, times weight, in place. Source: Zhang, Sennrich, Root Mean Square Layer Normalization
/// (2019).
#[inline(always)]
pub(crate) fn rms_norm(row: &mut [f32], weight: &[f32], eps: f32) {
    let square = sum(row, |sum, x| x.mul_add(x, sum)) / row.len() as f32;
    let scale = 1.0 / (square + eps).sqrt();
    row.iter_mut().zip(weight).for_each(|(x, weight)| *x *= scale * weight);
}

/// The row without its mean, over its deviation, in place; returns 1 / deviation.
#[inline(always)]
pub(crate) fn normalize(row: &mut [f32], eps: f32) -> f32 {
    let (mean, scale) = moments(row, eps);
    row.iter_mut().for_each(|x| *x = (*x - mean) * scale);
    scale
}

/// Gradient of a layer norm with respect to its input, in place of that with respect to its output: `normalized` is the
/// row that [`normalize`] left, `scale` what it returned.
#[inline(always)]
pub(crate) fn layer_norm_backward(grad: &mut [f32], normalized: &[f32], scale: f32, weight: &[f32]) {
    let len = grad.len() as f32;
    grad.iter_mut().zip(weight).for_each(|(grad, weight)| *grad *= weight);
    let mean = sum(grad, |sum, x| sum + x) / len;
    let along = dot(grad, normalized) / len;
    for (grad, normalized) in grad.iter_mut().zip(normalized) {
        *grad = scale * (*grad - mean - normalized * along);
    }
}

/// x · Φ(x), in place. Source: `torch.nn.functional.gelu(approximate="none")`.
#[inline(always)]
pub(crate) fn gelu(row: &mut [f32]) {
    for x in row {
        // max(x, 0) − |x| · Φ(−|x|), which is x · Φ(x) on both sides.
        let positive = if *x < 0.0 { 0.0 } else { *x }; // keeps NaN
        *x = (-x.abs()).mul_add(normal_tail(x.abs()), positive);
    }
}

/// GELU by the hyperbolic tangent, in place. Source: `torch.nn.functional.gelu(approximate="tanh")`.
#[inline(always)]
pub(crate) fn gelu_tanh(row: &mut [f32]) {
    for x in row {
        let inner = SQRT_2_OVER_PI * (*x + 0.044_715 * *x * *x * *x);
        *x /= 1.0 + exp(-2.0 * inner); // (1 + tanh y) / 2 = 1 / (1 + exp(−2y))
    }
}

/// Derivative of [`gelu`]: Φ(x) + x φ(x).
#[inline(always)]
pub(crate) fn gelu_derivative(x: f32) -> f32 {
    let density = exp2(x * x * (-0.5 * LOG2_E)) * 0.398_942_3; // 1 / √(2π)
    let tail = normal_tail(x.abs());
    x.mul_add(density, if x < 0.0 { tail } else { 1.0 - tail })
}

/// Derivative of [`gelu_tanh`].
#[inline(always)]
pub(crate) fn gelu_tanh_derivative(x: f32) -> f32 {
    let share = 1.0 / (1.0 + exp(-2.0 * SQRT_2_OVER_PI * x * (1.0 + 0.044_715 * x * x))); // (1 + tanh y) / 2
    let slope = 2.0 * SQRT_2_OVER_PI * (1.0 + 3.0 * 0.044_715 * x * x); // of 2 y
    share + x * share * (1.0 - share) * slope
}

/// Derivative of [`relu`].
#[inline(always)]
pub(crate) fn relu_derivative(x: f32) -> f32 {
    if x > 0.0 { 1.0 } else { 0.0 }
}

/// x · σ(x), in place. Source: `torch.nn.functional.silu`.
#[inline(always)]
pub(crate) fn silu(row: &mut [f32]) {
    row.iter_mut().for_each(|x| *x /= 1.0 + exp(-*x));
}

/// Derivative of [`silu`].
#[inline(always)]
pub(crate) fn silu_derivative(x: f32) -> f32 {
    let share = 1.0 / (1.0 + exp(-x));
    share * (x * (1.0 - share) + 1.0)
}

/// tanh x, in place.
#[inline(always)]
pub(crate) fn tanh(row: &mut [f32]) {
    row.iter_mut().for_each(|x| *x = tanh_of(*x));
}

#[inline(always)]
fn tanh_of(x: f32) -> f32 {
    // Near 0 the difference below would have no digit left: x − x³/3 + 2x⁵/15.
    let square = x * x;
    let series = x * polynomial(square, [2.0 / 15.0, -1.0 / 3.0, 1.0]);
    let share = 1.0 - 2.0 / (1.0 + exp(2.0 * x));
    if square < 0.01 { series } else { share }
}

/// Derivative of [`tanh`].
#[inline(always)]
pub(crate) fn tanh_derivative(x: f32) -> f32 {
    let value = tanh_of(x);
    1.0 - value * value
}

/// max(x, 0), in place.
#[inline(always)]
pub(crate) fn relu(row: &mut [f32]) {
    for x in row {
        *x = if *x < 0.0 { 0.0 } else { *x }; // keeps NaN
    }
}

/// The largest of a row and of what was found before.
#[inline(always)]
pub(crate) fn largest(row: &[f32], before: f32) -> f32 {
    let larger = |largest: f32, x: f32| if x > largest { x } else { largest };
    let (partial, rest) = fold(row, before, larger);
    partial.into_iter().fold(rest, larger)
}

/// 2 to the power of what each number is below `top`, in place; returns their sum.
#[inline(always)]
pub(crate) fn exp2_below(row: &mut [f32], top: f32) -> f32 {
    for x in row.iter_mut() {
        *x = exp2(*x - top);
    }
    sum(row, |sum, x| sum + x)
}

/// The least and the largest of a row, and whether all are finite: no loop that ends early, which would be no vector loop,
/// and each in a loop of its own, which is compiled as it stands.
#[inline(always)]
pub(crate) fn range(row: &[f32]) -> (f32, f32, bool) {
    let smaller = |least: f32, x: f32| if x < least { x } else { least };
    let (least, rest) = fold(row, f32::INFINITY, smaller);
    let least = least.into_iter().fold(rest, smaller);
    let (zeros, rest) = fold(row, 0.0, |zero, x| x.mul_add(0.0, zero));
    (least, largest(row, f32::NEG_INFINITY), total(zeros) + rest == 0.0)
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

/// 2ˣ to 2 units in the last place, for x of −126 to 126; beyond, that of the bound. The polynomial is a minimax fit of
/// relative error 7.5e-8 on −½ to ½.
#[inline(always)]
fn exp2(x: f32) -> f32 {
    const ROUND: f32 = 12_583_039.0; // 1.5 · 2²³ + 127: adding it leaves an exponent's bits in the low ones
    let x = if x < -126.0 { -126.0 } else { x }; // keeps NaN
    let x = if x > 126.0 { 126.0 } else { x };
    let shifted = x + ROUND;
    let fraction = x - (shifted - ROUND);
    let series =
        polynomial(fraction, [1.327_646_7e-3, 9.675_541e-3, 5.550_713_5e-2, 0.240_221_2, 0.693_146_94, 1.000_000_1]);
    series * f32::from_bits(shifted.to_bits() << 23)
}

/// Φ(−x), the normal distribution's tail, for x of at least 0: two to the power of a polynomial, so that its error is
/// relative to the tail. x times it is exact to 5e-8. The polynomial is a minimax fit of log₂ Φ(−x) on 0 to 6, weighted
/// with x · Φ(−x); it falls without bound beyond.
#[inline(always)]
fn normal_tail(x: f32) -> f32 {
    exp2(polynomial(
        x,
        [
            -1.991_893_7e-6,
            2.927_192_7e-5,
            -1.380_878_1e-4,
            -2.534_377_9e-4,
            7.216_391_6e-3,
            -5.260_305e-2,
            -0.459_172_22,
            -1.151_109_7,
            -0.999_999_9,
        ],
    ))
}

/// A polynomial, its highest coefficient first.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    coefficients.into_iter().fold(0.0, |sum, coefficient| sum.mul_add(x, coefficient))
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
                assert!((f64::from(found) - expected).abs() < 2e-7 * expected.abs().max(1.0), "{found} {expected}");
            }
        }
    }

    /// By Simpson's rule.
    fn normal_distribution(x: f64) -> f64 {
        let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let (steps, from) = (4000, -12.0);
        let width = (x - from) / f64::from(steps);
        let inner = |step: i32| if step % 2 == 0 { 2.0 } else { 4.0 } * density(from + f64::from(step) * width);
        (density(from) + (1..steps).map(inner).sum::<f64>() + density(x)) * width / 3.0
    }

    #[test]
    fn gelu_and_its_derivative_are_exact_everywhere() {
        for step in -1200..=1200 {
            let x = step as f32 * 0.01;
            let wide = f64::from(x);
            let phi = normal_distribution(wide);
            let mut row = [x];
            gelu(&mut row);
            let error = f64::from(row[0]) - wide * phi;
            assert!(error.abs() < 2e-7 * wide.abs().max(1.0), "gelu({x}) = {}, {error}", row[0]);
            let slope = phi + wide * (-0.5 * wide * wide).exp() / (2.0 * std::f64::consts::PI).sqrt();
            assert!((f64::from(gelu_derivative(x)) - slope).abs() < 4e-7, "{x}: {} {slope}", gelu_derivative(x));
        }
        let mut row = [f32::NAN, f32::INFINITY, -1e30, 1e30, 0.0];
        gelu(&mut row);
        assert!(row[0].is_nan() && !row[1].is_finite() && row[2].abs() < 1e-7 && row[3] == 1e30 && row[4] == 0.0);
    }

    #[test]
    fn exp2_is_exact_to_two_units() {
        for step in -12_600..=12_600 {
            let x = step as f32 * 0.01;
            let expected = f64::from(x).exp2();
            assert!((f64::from(exp2(x)) / expected - 1.0).abs() < 2.5e-7, "exp2({x}) = {}", exp2(x));
        }
        assert!(exp2(f32::NAN).is_nan() && exp2(f32::from_bits(0x7fc0_0001)).is_nan());
        assert!(exp2(f32::NEG_INFINITY) < 2e-38);
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
}

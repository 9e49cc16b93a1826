//! Products, attention and norms against plain loops in f64.
#![allow(clippy::unwrap_used)] // A test may panic.

use kernels::{Format, Linear, Rows, Sentences, attention, layer_norm, vectorize};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(rng: &mut impl Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Largest difference, relative to the root mean square of what is expected.
fn worst(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64;
    let differences = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
    differences.fold(0.0, f64::max) / square.sqrt()
}

fn forward(format: Format, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let mut rows = Rows::new(format, weight.len() / bias.len());
    rows.encode(&mut x.to_vec(), |_, _| {});
    let mut out = Vec::new();
    Linear::new(format, weight, bias).forward(&rows, &mut out);
    out
}

#[test]
fn a_linear_layer_is_its_definition_in_every_format_and_shape() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // Shapes around the tile's 6 rows, the panel's 64 columns and the group of 4 inputs.
    for (tokens, input, output) in [(1, 1, 1), (5, 7, 63), (6, 64, 64), (7, 66, 65), (13, 129, 200), (210, 96, 128)] {
        let (x, weight) = (random(&mut rng, tokens * input), random(&mut rng, output * input));
        let bias = random(&mut rng, output);
        let mut expected = Vec::new();
        for x in x.chunks_exact(input) {
            for (weight, bias) in weight.chunks_exact(input).zip(&bias) {
                let products = x.iter().zip(weight).map(|(x, w)| f64::from(*x) * f64::from(*w));
                expected.push(products.sum::<f64>() + f64::from(*bias));
            }
        }
        // A row's rounding errors are independent, so that the sum's is of the order of one product's: 2^-24, 2^-9 and
        // 1/127 of a factor, or 1/64 where weights have 7 bits.
        for (format, tolerance) in [(Format::F32, 2e-6), (Format::Bf16, 1.5e-2), (Format::Int8, 5e-2)] {
            let worst = worst(&forward(format, &x, &weight, &bias), &expected);
            assert!(worst < tolerance, "{format:?} {tokens}×{input}×{output}: {worst}");
        }
    }
}

#[test]
fn a_token_alone_has_the_bits_that_it_has_among_others() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (tokens, input, output) = (101, 70, 130);
    let (x, weight) = (random(&mut rng, tokens * input), random(&mut rng, output * input));
    let bias = random(&mut rng, output);
    for format in [Format::F32, Format::Bf16, Format::Int8] {
        let all = forward(format, &x, &weight, &bias);
        for token in [0, 5, 6, 50, 100] {
            let alone = forward(format, &x[token * input..][..input], &weight, &bias);
            assert_eq!(alone, all[token * output..][..output], "{format:?} {token}");
        }
    }
}

#[test]
fn int8_reproduces_what_its_numbers_hold_exactly() {
    // Multiples of the scale, so that nothing is rounded: inputs 0..=255, and weights up to 127 or, where products are
    // summed in 16 bits, up to 64.
    let limit = if Format::Int8.has_instruction() || !Format::Int8.is_vectorized() { 127 } else { 64 };
    let x: Vec<f32> = (0..256).map(|index| index as f32).collect();
    let weight: Vec<f32> = (0..256).map(|index| (index % (2 * limit + 1) - limit) as f32).collect();
    let expected: f32 = x.iter().zip(&weight).map(|(x, w)| x * w).sum();
    assert_eq!(forward(Format::Int8, &x, &weight, &[0.5]), [expected + 0.5]);
    // A row of one value has no range of its own.
    let limit = limit as f32;
    assert_eq!(forward(Format::Int8, &[3.0; 4], &[limit, 1.0, 2.0, 3.0], &[0.0]), [3.0 * (limit + 6.0)]);
    // The largest that there is: what 16 bits cannot hold would be cut off.
    let (x, weight) = ([vec![255.0; 510], vec![0.0; 2]].concat(), vec![-1.0; 512]);
    assert_eq!(forward(Format::Int8, &x, &weight, &[0.0]), [-255.0 * 510.0]);
}

#[test]
fn what_is_not_a_number_stays_none() {
    for format in [Format::F32, Format::Bf16, Format::Int8] {
        for bad in [f32::NAN, f32::INFINITY] {
            let out = forward(format, &[1.0, bad, 2.0, 0.5], &[1.0, 1.0, -1.0, 0.0, 0.0, -1.0, 1.0, 1.0], &[0.0, 0.0]);
            assert!(out.iter().all(|x| !x.is_finite()), "{format:?}: {out:?}");
            let out = forward(format, &[1.0, 1.0], &[1.0, bad, 1.0, 1.0], &[0.0, 0.0]);
            assert!(!out[0].is_finite() && out[1].is_finite(), "{format:?}: {out:?}");
        }
    }
}

#[test]
fn attention_is_its_definition_within_each_sentence() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (heads, head) in [(1, 1), (2, 8), (3, 64), (2, 80)] {
        let hidden = heads * head;
        let sentences = Sentences::new([1, 2, 17, 64, 65, 130]);
        let qkv: Vec<f32> = random(&mut rng, sentences.tokens() * 3 * hidden).iter().map(|x| 3.0 * x).collect();
        let at =
            |token: usize, matrix: usize, column: usize| f64::from(qkv[token * 3 * hidden + matrix * hidden + column]);
        let mut expected = vec![0.0; sentences.tokens() * hidden];
        for range in sentences.ranges() {
            for (query, first) in range.clone().flat_map(|query| (0..heads).map(move |index| (query, index * head))) {
                let columns = first..first + head;
                let score = |key| columns.clone().map(|column| at(query, 0, column) * at(key, 1, column)).sum::<f64>();
                let weights: Vec<f64> = range.clone().map(|key| (score(key) / (head as f64).sqrt()).exp()).collect();
                let total: f64 = weights.iter().sum();
                for column in columns {
                    let sum: f64 = range.clone().zip(&weights).map(|(key, weight)| weight * at(key, 2, column)).sum();
                    expected[query * hidden + column] = sum / total;
                }
            }
        }
        let mut context = Vec::new();
        attention(&qkv, &sentences, heads, None, &mut context);
        let worst = worst(&context, &expected);
        // Scores reach 30, whose rounding in f32 the exponential turns into 2e-6 of a weight.
        assert!(worst < 2e-5, "{heads} heads of {head}: {worst}");
    }
}

#[test]
fn layer_norm_is_its_definition() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for len in [1, 15, 16, 32, 770] {
        let (row, weight, bias) = (random(&mut rng, len), random(&mut rng, len), random(&mut rng, len));
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / len as f64;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / len as f64;
        let expected: Vec<f64> = row
            .iter()
            .zip(weight.iter().zip(&bias))
            .map(|(x, (w, b))| (f64::from(*x) - mean) / (variance + 1e-5).sqrt() * f64::from(*w) + f64::from(*b))
            .collect();
        let mut found = row;
        vectorize(|| layer_norm(&mut found, &weight, &bias, 1e-5));
        assert!(worst(&found, &expected) < 3e-6, "{len}");
    }
}

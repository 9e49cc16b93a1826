//! Attention against plain loops in f64.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    Attention, Dropout, Format, Norm, Relative, Rotary, Sentences, attention, attention_backward, prepare_heads,
    product::Product,
    tests::{random, worst},
};

/// Attention and the gradient of a sum of its output, weighted with `grad`, with respect to `qkv`.
fn attention_in_f64(qkv: &[f32], sentences: &Sentences, heads: usize, grad: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let hidden = grad.len() / sentences.tokens();
    let head = hidden / heads;
    let scale = 1.0 / (head as f64).sqrt();
    let (mut context, mut grad_qkv) = (vec![0.0; grad.len()], vec![0.0; qkv.len()]);
    for sentence in sentences.ranges() {
        for first in (0..heads).map(|index| index * head) {
            let place = |token: usize, matrix: usize| (3 * token + matrix) * hidden + first;
            let row = |token, matrix| &qkv[place(token, matrix)..][..head];
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            for query in sentence.clone() {
                let scores: Vec<f64> = sentence.clone().map(|key| scale * dot(row(query, 0), row(key, 1))).collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|score| (score - top).exp()).sum();
                let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp() / total).collect();
                let grad = &grad[query * hidden + first..][..head];
                let slopes: Vec<f64> = sentence.clone().map(|key| dot(grad, row(key, 2))).collect();
                let mean: f64 = slopes.iter().zip(&weights).map(|(slope, weight)| slope * weight).sum();
                for (key, (weight, slope)) in sentence.clone().zip(weights.iter().zip(&slopes)) {
                    let of_score = weight * (slope - mean) * scale;
                    for column in 0..head {
                        context[query * hidden + first + column] += weight * f64::from(row(key, 2)[column]);
                        grad_qkv[place(query, 0) + column] += of_score * f64::from(row(key, 1)[column]);
                        grad_qkv[place(key, 1) + column] += of_score * f64::from(row(query, 0)[column]);
                        grad_qkv[place(key, 2) + column] += weight * f64::from(grad[column]);
                    }
                }
            }
        }
    }
    (context, grad_qkv)
}

#[test]
fn attention_and_its_gradient_are_their_definition_within_each_sentence() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    // Sentences around a block of 48 queries, a strip of 64 keys and a part of 512.
    for (heads, head, lengths) in [
        (1, 1, vec![3, 1]),
        (2, 8, vec![1, 0, 2, 49]),
        (3, 64, vec![17, 48, 65]),
        (2, 80, vec![130]),
        (1, 16, vec![1100]),
    ] {
        let hidden = heads * head;
        let sentences = Sentences::new(lengths);
        let qkv: Vec<f32> = random(&mut rng, sentences.tokens() * 3 * hidden).iter().map(|x| 3.0 * x).collect();
        let grad = random(&mut rng, sentences.tokens() * hidden);
        let (expected, expected_grad) = attention_in_f64(&qkv, &sentences, heads, &grad);
        // Scores reach 30, whose rounding in f32 the exponential turns into 2e-6 of a weight; in bf16 into 0.1.
        let rounded = Product::new(Format::Bf16).has_instruction();
        for (format, tolerance) in [(Format::F32, 2e-5), (Format::Bf16, if rounded { 0.3 } else { 2e-5 })] {
            let (mut context, mut grad_qkv) = (Vec::new(), Vec::new());
            attention(format, &qkv, &sentences, &Attention::plain(heads, head), None, &mut context);
            attention_backward(format, &qkv, &sentences, heads, None, &grad, &mut grad_qkv);
            let (worst, worst_grad) = (worst(&context, &expected), worst(&grad_qkv, &expected_grad));
            assert!(
                worst < tolerance && worst_grad < 3.0 * tolerance,
                "{format:?} {heads} × {head}: {worst} {worst_grad}"
            );
        }
    }
}

/// What one query gives its keys, in f64: causal, windowed, of heads that share keys, and with relative positions.
fn context_in_f64(
    qkv: &[f32],
    attention: &Attention,
    relative: Option<[&[f32]; 2]>,
    row: &dyn Fn(i64) -> usize,
) -> Vec<f64> {
    let Attention { heads, kv_heads, head, is_causal, window, .. } = *attention;
    let length = qkv.len() / attention.width();
    let part = |token: usize, place: usize| &qkv[token * attention.width() + place * head..][..head];
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let scale = 1.0 / ((head * if relative.is_some() { 3 } else { 1 }) as f64).sqrt();
    let mut context = Vec::new();
    for query in 0..length {
        for index in 0..heads {
            let shared = index * kv_heads / heads;
            let weight = |key: usize| {
                let behind = key as i64 - query as i64;
                if is_causal && behind > 0 || window.is_some_and(|window| behind.unsigned_abs() as usize > window) {
                    return 0.0;
                }
                let (q, k) = (part(query, index), part(key, heads + shared));
                let mut score = dot(q, k);
                if let Some([keys, queries]) = relative {
                    let row = (row(-behind) * heads + index) * head;
                    score += dot(q, &keys[row..][..head]) + dot(k, &queries[row..][..head]);
                }
                (score * scale).exp()
            };
            let weights: Vec<f64> = (0..length).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            context.extend((0..head).map(|column| {
                let values = (0..length).map(|key| f64::from(part(key, heads + kv_heads + shared)[column]));
                weights.iter().zip(values).map(|(weight, value)| weight * value).sum::<f64>() / sum
            }));
        }
    }
    context
}

#[test]
fn attention_that_sees_less_or_knows_distances_is_its_definition() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let plain = Attention::plain(2, 8);
    let shapes = [
        Attention { is_causal: true, ..plain },
        Attention { window: Some(0), ..plain },
        Attention { window: Some(3), heads: 4, ..plain },
        Attention { window: Some(64), ..plain },
        Attention { window: Some(20), is_causal: true, heads: 4, kv_heads: 2, head: 16, ..plain },
        Attention { heads: 6, kv_heads: 2, ..plain },
    ];
    let rounded = Product::new(Format::Bf16).has_instruction();
    for attention_of in shapes {
        for length in [1, 47, 65, 130, 700] {
            let qkv = random(&mut rng, length * attention_of.width());
            let expected = context_in_f64(&qkv, &attention_of, None, &|_| 0);
            for (format, tolerance) in [(Format::F32, 2e-5), (Format::Bf16, if rounded { 0.05 } else { 2e-5 })] {
                let mut context = Vec::new();
                attention(format, &qkv, &Sentences::new([length]), &attention_of, None, &mut context);
                let worst = worst(&context, &expected);
                assert!(worst < tolerance, "{format:?} {attention_of:?} {length}: {worst}");
            }
        }
    }
    // Distances up to 100 have rows of their own, those beyond share the last: 202 rows, so more than one strip.
    let row = |distance: i64| (distance + 101).clamp(0, 201) as usize;
    let (heads, head, longest) = (plain.heads, plain.head, 300);
    let buckets: Vec<u32> = (1 - longest..longest).map(|distance| row(distance) as u32).collect();
    let [keys, queries] = [(); 2].map(|()| random(&mut rng, 202 * heads * head));
    let relative = Relative::new(Format::F32, heads, Some(&keys), Some(&queries), buckets);
    let attention_of = Attention { relative: Some(&relative), ..plain };
    for length in [1, 20, 48, 130, 300] {
        let qkv = random(&mut rng, length * plain.width());
        let expected = context_in_f64(&qkv, &plain, Some([&keys, &queries]), &row);
        let mut context = Vec::new();
        attention(Format::F32, &qkv, &Sentences::new([length]), &attention_of, None, &mut context);
        let worst = worst(&context, &expected);
        assert!(worst < 2e-5, "{length}: {worst}");
    }
}

#[test]
fn heads_are_turned_to_their_positions_by_their_norms() {
    let mut rng = ChaCha8Rng::seed_from_u64(14);
    let (heads, kv_heads, head) = (3, 1, 6);
    let weights = [(); 2].map(|()| random(&mut rng, head));
    let norms = weights.clone().map(|weight| Norm { weight, bias: vec![0.0; head], eps: 1e-6, is_centred: false });
    let before = random(&mut rng, 2 * (heads + 2 * kv_heads) * head);
    let mut qkv = before.clone();
    let positions = [5, 900];
    prepare_heads(&mut qkv, [heads, kv_heads, head], Some(&norms), Some(&Rotary::new(1e4, head, 901)), &positions);
    let mut expected = Vec::new();
    for (row, position) in before.chunks_exact((heads + 2 * kv_heads) * head).zip(positions) {
        for (index, part) in row.chunks_exact(head).enumerate() {
            let part: Vec<f64> = part.iter().map(|x| f64::from(*x)).collect();
            if index >= heads + kv_heads {
                expected.extend(part);
                continue;
            }
            let root = (part.iter().map(|x| x * x).sum::<f64>() / head as f64 + 1e-6).sqrt();
            let weight = &weights[usize::from(index >= heads)];
            let normed: Vec<f64> = part.iter().zip(weight).map(|(x, weight)| x / root * f64::from(*weight)).collect();
            let angle = |pair: usize| position as f64 * 1e4f64.powf(-2.0 * pair as f64 / head as f64);
            let half = head / 2;
            let turned = |pair: usize, sign: f64, other: usize, own: usize| {
                let (sine, cosine) = angle(pair).sin_cos();
                normed[own] * cosine + sign * normed[other] * sine
            };
            expected.extend((0..half).map(|pair| turned(pair, -1.0, pair + half, pair)));
            expected.extend((0..half).map(|pair| turned(pair, 1.0, pair, pair + half)));
        }
    }
    let worst = worst(&qkv, &expected);
    assert!(worst < 1e-4, "{worst}"); // an angle of 900 has 3e-5 of rounding
}

/// Mean weights of a sentence whose scores are all equal: of one head, of which the values tell which keys were kept.
#[test]
fn attentions_dropout_is_the_same_backward_and_in_every_part_of_a_long_sentence() {
    let length = 700;
    let sentences = Sentences::new([length]);
    let dropout = Dropout::new(0.25, 11);
    let qkv: Vec<f32> = (0..length).flat_map(|_| [0.0, 0.0, 1.0]).collect();
    let (mut context, mut grad_qkv) = (Vec::new(), Vec::new());
    attention(Format::F32, &qkv, &sentences, &Attention::plain(1, 1), dropout, &mut context);
    // Each is the mean of 700 numbers that are 0 or 4/3.
    let mean = context.iter().sum::<f32>() / length as f32;
    assert!((mean - 1.0).abs() < 0.01, "{mean}");
    assert!(context.iter().any(|x| (x - 1.0).abs() > 0.005), "something is dropped");
    // The gradient of one query's output with respect to the values is its weights: where they are dropped, 0.
    for query in [0, 47, 600] {
        let grad: Vec<f32> = (0..length).map(|token| if token == query { 1.0 } else { 0.0 }).collect();
        attention_backward(Format::F32, &qkv, &sentences, 1, dropout, &grad, &mut grad_qkv);
        let kept: f32 = grad_qkv.chunks_exact(3).map(|token| token[2]).sum();
        assert!((kept - context[query]).abs() < 1e-4, "{query}: {kept} {}", context[query]);
    }
}

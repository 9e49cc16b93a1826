//! Products, attention and norms against plain loops in f64, at every level of processors.

use std::{collections::BTreeSet, env, process::Command};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Activation, Attention, Dropout, Factor, Format, Level, Linear, Norm, NormTape, Processor, Relative, Rotary, Rows,
    Sentences, VARIABLE, adamw, add_column_sums, attention, attention_backward, embed, prepare_heads, product::Product,
    square_sum,
};

/// Runs all tests of this crate again in processes that use no more than a level, each that the processor has. That of AMX
/// is run by a model of its tiles where it has none.
#[test]
#[cfg_attr(miri, ignore)] // starts processes
fn all_tests_pass_at_every_level() {
    if env::var_os(VARIABLE).is_some() {
        return; // one of those processes, or a level that was asked for
    }
    for level in Level::ALL.into_iter().filter(|level| *level <= Level::of_the_machine() || *level == Level::Amx) {
        let output = Command::new(env::current_exe().unwrap()).env(VARIABLE, level.to_string()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let passed = text.lines().find_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next());
        let passed = passed.and_then(|count| count.parse::<usize>().ok());
        assert!(output.status.success() && passed.is_some_and(|passed| passed > 20), "{level}: {text}");
    }
}

/// What is not inlined into [`vectorize`](crate::vectorize) is compiled for any processor, and calls the C library for each
/// multiplication with addition: an order of magnitude slower, and nothing else tells.
#[test]
#[cfg_attr(miri, ignore)] // starts a process
fn no_vectorized_function_of_the_program_calls_what_is_not_vectorized() {
    if env::var_os(VARIABLE).is_some() {
        return; // once is enough
    }
    // So that they are in the program, whatever its tests use.
    std::hint::black_box((Activation::apply as fn(_, _, _), Activation::backward as fn(_, _, _, _)));
    std::hint::black_box((Norm::add as fn(_, _, _, _), Norm::add_before as fn(_, _, _, _)));
    std::hint::black_box((Norm::encode as fn(_, _, _), Norm::apply as fn(_, _), Activation::gate as fn(_, _, _)));
    std::hint::black_box((prepare_heads as fn(_, _, _, _, _), embed as fn(_, _, _, _)));
    std::hint::black_box((NormTape::add as fn(_, _, _, _, _), NormTape::backward as fn(_, _, _, _)));
    std::hint::black_box((Dropout::apply as fn(_, _, _), add_column_sums as fn(_, _, _, _)));
    std::hint::black_box((adamw as fn(_, _, _, _, _), square_sum as fn(_) -> _, Factor::multiply as fn(_, _, _)));
    let objdump = |what: &[&str]| {
        let output = Command::new("objdump").args(what).arg(env::current_exe().unwrap()).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let code = objdump(&["--disassemble", "--demangle", "--no-show-raw-insn"]);
    let (Some(text), Some(addresses)) = (code, objdump(&["--dynamic-reloc"])) else {
        // Past the test harness, which keeps what a passing test prints to itself.
        let notice = "\n*** SKIPPED: no objdump: what the program's loops call is not tested ***\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), notice.as_bytes());
        return;
    };
    let heading = |line: &'_ str| -> Option<(u64, String)> {
        let (address, name) = line.strip_suffix(">:")?.split_once(" <")?;
        Some((u64::from_str_radix(address, 16).ok()?, name.to_owned()))
    };
    // The function is called by its name, or by a place in memory that holds its address.
    let here = text.lines().filter_map(heading).find(|(_, name)| name == "fmaf").map(|(address, _)| address);
    let places = addresses.lines().filter_map(|line| {
        let [place, kind, value] = *line.split_whitespace().collect::<Vec<_>>() else { return None };
        let is_its = value.starts_with("fmaf") || here.is_some_and(|here| value == format!("*ABS*+{here:#018x}"));
        (kind.starts_with("R_X86_64") && is_its).then(|| format!("# {} ", place.trim_start_matches('0')))
    });
    let places: Vec<String> = places.chain(["<fmaf".to_owned()]).collect();
    let (mut function, mut functions, mut calls) = (String::new(), 0, 0);
    let mut foreign = BTreeSet::new();
    for line in text.lines() {
        if let Some((_, name)) = heading(line) {
            let vectorized = ["vectorize::avx", "product::avx", "transpose::avx"];
            function = if vectorized.iter().any(|part| name.contains(part)) { name } else { String::new() };
            functions += usize::from(!function.is_empty());
        } else if line.contains(":\t") && places.iter().any(|place| line.contains(place)) {
            assert!(function.is_empty(), "{function}: {line}");
            calls += 1;
        } else if let Some((_, called)) = line.split_once("call").and_then(|(_, rest)| rest.split_once("<kernels::")) {
            // What is called is not compiled for the vectors of its caller: well, if it is made for them itself, or has no
            // loop over numbers.
            let for_itself = ["product::", "transpose::"];
            let no_loop = ["panels::Panels::", "rows::Rows::reset", "blocks::Block::", "lane::Strip::", "processor::"];
            let allowed = for_itself.iter().chain(&no_loop).any(|name| called.starts_with(name));
            if !function.is_empty() && !allowed {
                foreign.insert(called.trim_end_matches('>').to_owned());
            }
        }
    }
    assert!(foreign.is_empty(), "called by vectorized functions and not inlined into them: {foreign:?}");
    assert!(functions > 50, "{functions} vectorized functions: their names have changed");
    assert!(calls > 0, "the portable functions call it: its name has changed");
}

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
    rows.encode(x);
    let mut out = Vec::new();
    Linear::new(format, weight, bias).forward(&rows, None, &mut out);
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
fn a_layers_activation_is_that_of_the_whole_matrix() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (tokens, input, output) = (7, 70, 130); // the last strip has 2 columns
    let (x, weight) = (random(&mut rng, tokens * input), random(&mut rng, output * input));
    let bias = random(&mut rng, output);
    for format in [Format::F32, Format::Bf16, Format::Int8] {
        let layer = Linear::new(format, &weight, &bias);
        let mut rows = Rows::new(format, input);
        rows.encode(&x);
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
            let (mut fused, mut apart) = (Vec::new(), Vec::new());
            layer.forward(&rows, Some(activation), &mut fused);
            layer.forward(&rows, None, &mut apart);
            activation.apply(&mut apart, &mut Rows::new(Format::F32, output));
            assert_eq!(fused, apart, "{format:?} {activation:?}");
        }
    }
}

#[test]
fn int8_reproduces_what_its_numbers_hold_exactly() {
    // Multiples of the scale, so that nothing is rounded: inputs 0..=255, and weights up to 127 or, where products are
    // summed in 16 bits, up to 64.
    let limit = i64::from(Product::new(Format::Int8).int8_weight_limit());
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

/// A weight gradient's inner dimension is the tokens, of which there is any number.
#[test]
fn a_product_over_tokens_is_its_definition() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (tokens, outputs, inputs) in [(1, 3, 5), (2, 17, 16), (31, 16, 70), (33, 70, 33), (130, 100, 65)] {
        let (grad, x) = (random(&mut rng, tokens * outputs), random(&mut rng, tokens * inputs));
        let mut expected = vec![1.0; outputs * inputs];
        for (grad, x) in grad.chunks_exact(outputs).zip(x.chunks_exact(inputs)) {
            for (expected, grad) in expected.chunks_exact_mut(inputs).zip(grad) {
                expected.iter_mut().zip(x).for_each(|(sum, x)| *sum += f64::from(*grad) * f64::from(*x));
            }
        }
        for (format, tolerance) in [(Format::F32, 2e-6), (Format::Bf16, 1.5e-2)] {
            let (mut rows, mut left, mut factor) =
                (Rows::new(format, inputs), Rows::new(format, 0), Factor::new(format));
            // What was there before must not be seen.
            left.encode_transposed(&vec![f32::NAN; 200 * outputs], outputs);
            rows.encode(&vec![f32::NAN; 200 * inputs]);
            factor.pack_rows(&rows);
            left.encode_transposed(&grad, outputs);
            rows.encode(&x);
            factor.pack_rows(&rows);
            let mut found = vec![1.0; outputs * inputs];
            factor.multiply_add(&left, 0..outputs, &mut found);
            let worst = worst(&found, &expected);
            assert!(worst < tolerance, "{format:?} {tokens}: {worst}");
        }
    }
}

#[test]
fn a_packed_matrix_is_multiplied_as_it_is_or_transposed() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for (tokens, inner, columns) in [(1, 1, 1), (7, 33, 70), (40, 96, 130)] {
        let (x, matrix) = (random(&mut rng, tokens * inner), random(&mut rng, inner * columns));
        let mut transposed = vec![0.0; matrix.len()];
        for (row, numbers) in matrix.chunks_exact(columns).enumerate() {
            numbers.iter().enumerate().for_each(|(column, number)| transposed[column * inner + row] = *number);
        }
        let bias = random(&mut rng, columns);
        let mut expected = Vec::new();
        for x in x.chunks_exact(inner) {
            for (column, bias) in transposed.chunks_exact(inner).zip(&bias) {
                let products = x.iter().zip(column).map(|(x, w)| f64::from(*x) * f64::from(*w));
                expected.push(products.sum::<f64>() + f64::from(*bias));
            }
        }
        for (format, tolerance) in [(Format::F32, 2e-6), (Format::Bf16, 1.5e-2)] {
            let (mut rows, mut factor, mut found) = (Rows::new(format, inner), Factor::new(format), Vec::new());
            rows.encode(&x);
            factor.pack(&[&matrix], columns);
            factor.multiply_bias(&rows, &bias, &mut found);
            assert!(worst(&found, &expected) < tolerance, "{format:?}");
            let halves = transposed.split_at(columns / 2 * inner);
            factor.pack_transposed(&[halves.0, halves.1], inner);
            factor.multiply_bias(&rows, &bias, &mut found);
            assert!(worst(&found, &expected) < tolerance, "{format:?}, transposed");
        }
    }
}

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

#[test]
fn layer_norm_is_its_definition() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for len in [1, 15, 16, 32, 770] {
        let (row, residual) = (random(&mut rng, len), random(&mut rng, len));
        let (weight, bias) = (random(&mut rng, len), random(&mut rng, len));
        let norm = Norm { weight, bias, eps: 1e-5, is_centred: true };
        let sum: Vec<f64> = row.iter().zip(&residual).map(|(x, y)| f64::from(*x) + f64::from(*y)).collect();
        let mean = sum.iter().sum::<f64>() / len as f64;
        let variance = sum.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / len as f64;
        let expected: Vec<f64> = sum
            .iter()
            .zip(norm.weight.iter().zip(&norm.bias))
            .map(|(x, (w, b))| (x - mean) / (variance + 1e-5).sqrt() * f64::from(*w) + f64::from(*b))
            .collect();
        let (mut found, mut rows) = (row, Rows::new(Format::F32, len));
        norm.add(&mut found, &residual, &mut rows);
        assert!(worst(&found, &expected) < 3e-6, "{len}");
        let mut taken_up = Vec::new();
        rows.decode(&mut taken_up);
        assert_eq!(taken_up, found);
    }
}

#[test]
fn the_processor_is_told_in_one_line() {
    let text = Processor::current().to_string();
    let parts = ["loops ", "; products f32 ", ", bf16 ", ", int8 "];
    assert!(parts.iter().all(|part| text.contains(part)) && !text.contains('\n'), "{text}");
}

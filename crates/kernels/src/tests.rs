//! Products and norms against plain loops in f64, at every level of processors.

use std::{collections::BTreeSet, env, process::Command};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Activation, Dropout, Factor, Format, Level, Linear, Norm, NormTape, Processor, Rows, VARIABLE, adamw,
    add_column_sums, embed, prepare_heads, product::Product, square_sum,
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

pub(crate) fn random(rng: &mut impl Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Largest difference, relative to the root mean square of what is expected.
pub(crate) fn worst(found: &[f32], expected: &[f64]) -> f64 {
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

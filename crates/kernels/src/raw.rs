//! What cannot be written in safe Rust: vector instructions, and several threads that write one matrix.

mod avx2;
mod avx512;
mod blocks;
mod portable;
mod tile;

use std::sync::LazyLock;

pub(crate) use blocks::{Block, for_each_block};
pub(crate) use tile::{Sums, TILE_ROWS};

use crate::{
    format::Format,
    lane::{Lane, Strip},
};

/// Vector instructions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Instructions {
    Portable,
    /// AVX2 with FMA: 8 f32.
    Avx2,
    /// AVX-512 with FMA: 16 f32.
    Avx512,
}

struct Processor {
    vectors: Instructions,
    bf16: bool,
    int8: bool,
}

static PROCESSOR: LazyLock<Processor> = LazyLock::new(|| {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    Processor {
        vectors: match (avx512, avx2) {
            (true, _) => Instructions::Avx512,
            (_, true) => Instructions::Avx2,
            _ => Instructions::Portable,
        },
        bf16: avx512 && is_x86_feature_detected!("avx512bf16"),
        int8: avx512 && is_x86_feature_detected!("avx512vnni"),
    }
});

impl Format {
    /// Whether this processor multiplies and sums in this format itself: f32 with AVX2 or AVX-512, bf16 with AVX-512-BF16,
    /// int8 with AVX-512-VNNI.
    pub fn has_instruction(self) -> bool {
        match self {
            Format::F32 => PROCESSOR.vectors != Instructions::Portable,
            Format::Bf16 => PROCESSOR.bf16,
            Format::Int8 => PROCESSOR.int8,
        }
    }

    /// Whether products in this format are computed with vector instructions, be they several for one step.
    pub fn is_vectorized(self) -> bool {
        instructions(self) != Instructions::Portable
    }
}

/// What products of a format are computed with: where AVX-512 has no instruction for it, AVX2 makes do with several.
fn instructions(format: Format) -> Instructions {
    match PROCESSOR.vectors {
        Instructions::Avx512 if !format.has_instruction() => Instructions::Avx2,
        vectors => vectors,
    }
}

/// Largest magnitude of a weight in 8 bits. AVX2 sums two products in 16 bits, and 2 · 255 · 64 is what they hold.
pub(crate) fn int8_weight_limit() -> i8 {
    if instructions(Format::Int8) == Instructions::Avx2 { 64 } else { 127 }
}

/// Runs `body` compiled for the widest vectors that the processor has. Only what is inlined into it gains by that: mark
/// the closure, and the functions that it calls, `#[inline(always)]`.
#[inline(always)]
pub fn vectorize<R>(body: impl FnOnce() -> R) -> R {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
    fn avx512<R>(body: impl FnOnce() -> R) -> R {
        body()
    }
    #[target_feature(enable = "avx2,fma")]
    fn avx2<R>(body: impl FnOnce() -> R) -> R {
        body()
    }
    match PROCESSOR.vectors {
        // SAFETY: the processor has these features.
        Instructions::Avx512 => unsafe { avx512(body) },
        // SAFETY: as above.
        Instructions::Avx2 => unsafe { avx2(body) },
        Instructions::Portable => body(),
    }
}

/// Sums of the products of rows of `a`, each `stride` groups after the one before, with the first `panels` panels of a
/// strip, for as many rows as there are `sums`. Meanwhile may fetch `ahead`, which is needed next, from memory.
pub(crate) fn multiply(
    format: Format,
    a: &[u32],
    stride: usize,
    strip: Strip,
    panels: usize,
    ahead: &[Lane],
    sums: &mut [Sums],
) {
    match instructions(format) {
        // SAFETY: the processor has the instructions of this format.
        Instructions::Avx512 => unsafe { avx512::multiply(format, a, stride, strip, ahead, sums) },
        // SAFETY: as above.
        Instructions::Avx2 => unsafe { avx2::multiply(format, a, stride, strip, panels, sums) },
        Instructions::Portable => portable::multiply(format, a, stride, strip, sums),
    }
}

/// The transpose of a square of 32-bit numbers.
#[inline(always)]
pub(crate) fn transpose(square: &mut [Lane; 16]) {
    match PROCESSOR.vectors {
        // SAFETY: the processor has these instructions.
        Instructions::Avx512 => unsafe { avx512::transpose(square) },
        // SAFETY: as above.
        Instructions::Avx2 => unsafe { avx2::transpose(square) },
        Instructions::Portable => portable::transpose(square),
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;

    use super::*;
    use crate::lane::{PANEL, STRIP};

    #[test]
    fn a_square_is_transposed() {
        for transpose in [transpose, portable::transpose] {
            let mut square: [Lane; 16] =
                std::array::from_fn(|row| Lane(std::array::from_fn(|column| (100 * row + column) as u32)));
            transpose(&mut square);
            for (row, lane) in square.iter().enumerate() {
                assert_eq!(lane.0, std::array::from_fn(|column| (100 * column + row) as u32));
            }
        }
    }

    /// What is computed where the instructions are missing, beside what each kind of them computes.
    #[test]
    fn portable_sums_equal_those_of_the_instructions() {
        let groups = if cfg!(miri) { 20 } else { 600 }; // an interpreter takes its time
        let stride = groups + 3;
        if PROCESSOR.vectors != Instructions::Avx512 || !PROCESSOR.bf16 || !PROCESSOR.int8 {
            // Past the test harness, which keeps what a passing test prints to itself.
            let notice = "\n*** SKIPPED: no AVX-512 with BF16 and VNNI: not all of its products are tested ***\n";
            let _ = std::io::Write::write_all(&mut std::io::stderr(), notice.as_bytes());
        }
        for format in [Format::F32, Format::Bf16, Format::Int8] {
            // Bits that are ordinary numbers in each format: of f32 and bf16 1.0 to 2.0, bytes 0 to 63.
            let number = |index: usize| {
                let bits = (index as u32).wrapping_mul(0x9e37_79b9);
                if format == Format::Int8 { bits & 0x3f3f_3f3f } else { bits & 0x003f_003f | 0x3f80_3f80 }
            };
            let a: Vec<u32> = (0..11 * stride).map(number).collect();
            let lanes: Vec<Lane> = (0..groups * STRIP)
                .map(|lane| Lane(std::array::from_fn(|index| number(7 + 16 * lane + index))))
                .collect();
            let strip = Strip { lanes: &lanes, groups };
            for rows in 1..=11 {
                let mut expected = vec![Sums::zeroed(); rows];
                portable::multiply(format, &a, stride, strip, &mut expected);
                let compare = |name: &str, multiply: &dyn Fn(&mut [Sums])| {
                    let mut found = vec![Sums::zeroed(); rows];
                    multiply(&mut found);
                    let pairs = found.iter().flatten().zip(expected.iter().flatten());
                    for (found, expected) in pairs.flat_map(|(found, expected)| found.0.into_iter().zip(expected.0)) {
                        let same = match format {
                            Format::Int8 => found == expected,
                            _ => (f32::from_bits(found) / f32::from_bits(expected) - 1.0).abs() < 1e-5,
                        };
                        assert!(same, "{name} {format:?} {rows}: {found:x} {expected:x}");
                    }
                };
                compare("best", &|sums| multiply(format, &a, stride, strip, STRIP, &[], sums));
                if PROCESSOR.vectors != Instructions::Portable {
                    // SAFETY: the processor has these instructions.
                    compare("AVX2", &|sums| unsafe { avx2::multiply(format, &a, stride, strip, STRIP, sums) });
                }
            }
        }
    }

    #[test]
    fn panels_that_are_not_asked_for_are_nobodys_business() {
        let (groups, a) = (5, [1.0f32.to_bits(); 5]);
        let lanes = vec![Lane([2.0f32.to_bits(); PANEL]); groups * STRIP];
        let mut sums = [Sums::zeroed()];
        multiply(Format::F32, &a, groups, Strip { lanes: &lanes, groups }, 1, &[], &mut sums);
        assert_eq!(sums[0][0].0, [10.0f32.to_bits(); PANEL]);
    }
}

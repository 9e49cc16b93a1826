//! Products and transposition in AVX2.
//!
//! bf16 has no instruction here: numbers are widened to f32 shortly before they are multiplied, which saves memory and no
//! time. Neither has int8 one that sums in 32 bits: two products are summed in 16 bits, for which weights keep to 7 bits
//! ([`super::int8_weight_limit`]).

use std::arch::x86_64::*;

use bytemuck::Zeroable;

use super::tile::{Sums, TILE_ROWS, tiles};
use crate::{
    format::Format,
    lane::{BANK, Lane, Strip},
};

/// Groups of a panel that are gone through at once: 16 KiB, half of a core's first cache, for all rows of a block.
const CHUNK: usize = 256;

/// A panel's columns in two vectors.
type Halves = [__m256i; 2];

/// One group of each row, `stride` apart from `a` on, times one group of a panel.
///
/// # Safety
/// `a` reaches to the last row.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn step_f32<const ROWS: usize>(acc: &mut [Halves; ROWS], a: *const u32, stride: usize, b: Halves) {
    for (row, acc) in acc.iter_mut().enumerate() {
        // SAFETY: the caller's.
        let a = _mm256_castsi256_ps(_mm256_set1_epi32(unsafe { *a.add(row * stride) } as i32));
        for (acc, b) in acc.iter_mut().zip(b) {
            let sum = _mm256_fmadd_ps(a, _mm256_castsi256_ps(b), _mm256_castsi256_ps(*acc));
            *acc = _mm256_castps_si256(sum);
        }
    }
}

/// # Safety
/// As [`step_f32`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn step_int8<const ROWS: usize>(acc: &mut [Halves; ROWS], a: *const u32, stride: usize, b: Halves) {
    let ones = _mm256_set1_epi16(1);
    for (row, acc) in acc.iter_mut().enumerate() {
        // SAFETY: the caller's.
        let a = _mm256_set1_epi32(unsafe { *a.add(row * stride) } as i32);
        for (acc, b) in acc.iter_mut().zip(b) {
            let pairs = _mm256_maddubs_epi16(a, b); // 16 sums of two products
            *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(pairs, ones));
        }
    }
}

/// The loop of a product in one format: rows of `a`, `stride` groups apart, times a part of a panel, added to the sums
/// with it.
macro_rules! tile_in {
    ($name:ident, $step:ident) => {
        #[target_feature(enable = "avx2,fma")]
        fn $name<const ROWS: usize>(a: &[u32], stride: usize, part: &[Lane], panel: usize, sums: &mut [Sums]) {
            assert!(a.len() >= (ROWS - 1) * stride + part.len() && sums.len() == ROWS);
            let mut acc = [[_mm256_setzero_si256(); 2]; ROWS];
            for (acc, sums) in acc.iter_mut().zip(&*sums) {
                let [low, high] = halves(&sums[panel]);
                // SAFETY: half a lane is as large and as aligned as a vector.
                *acc = unsafe { [_mm256_load_si256(low), _mm256_load_si256(high)] };
            }
            for (group, lane) in part.iter().enumerate() {
                let [low, high] = halves(lane);
                // SAFETY: as above; `a` was checked at the head.
                unsafe {
                    let b = [_mm256_load_si256(low), _mm256_load_si256(high)];
                    $step::<ROWS>(&mut acc, a.as_ptr().add(group), stride, b);
                }
            }
            for (acc, sums) in acc.iter().zip(sums) {
                let start = (&raw mut sums[panel]).cast::<__m256i>();
                // SAFETY: a lane is as large as two vectors, and as aligned.
                unsafe {
                    _mm256_store_si256(start, acc[0]);
                    _mm256_store_si256(start.add(1), acc[1]);
                }
            }
        }
    };
}

tile_in!(tile_f32, step_f32);
tile_in!(tile_int8, step_int8);

#[inline(always)]
fn halves(lane: &Lane) -> [*const __m256i; 2] {
    let start: *const __m256i = std::ptr::from_ref(lane).cast();
    [start, start.wrapping_add(1)]
}

/// Rows of `a` times a part of a panel, added to the sums with it; f32 and int8.
///
/// # Safety
/// The processor has AVX2 and FMA.
unsafe fn multiply_part(format: Format, a: &[u32], stride: usize, part: &[Lane], panel: usize, sums: &mut [Sums]) {
    for tile in tiles(sums.len()) {
        let (a, sums) = (&a[tile.start * stride..], &mut sums[tile]);
        macro_rules! by_rows {
            ($tile:ident) => {
                // SAFETY: the caller's.
                unsafe {
                    match sums.len() {
                        1 => $tile::<1>(a, stride, part, panel, sums),
                        2 => $tile::<2>(a, stride, part, panel, sums),
                        3 => $tile::<3>(a, stride, part, panel, sums),
                        4 => $tile::<4>(a, stride, part, panel, sums),
                        5 => $tile::<5>(a, stride, part, panel, sums),
                        _ => $tile::<TILE_ROWS>(a, stride, part, panel, sums),
                    }
                }
            };
        }
        match format {
            Format::F32 => by_rows!(tile_f32),
            Format::Bf16 => unreachable!("bf16 is widened to f32 before"),
            Format::Int8 => by_rows!(tile_int8),
        }
    }
}

/// See [`super::multiply`].
///
/// # Safety
/// The processor has AVX2 and FMA.
pub(super) unsafe fn multiply(
    format: Format,
    a: &[u32],
    stride: usize,
    strip: Strip,
    panels: usize,
    sums: &mut [Sums],
) {
    if format == Format::Bf16 {
        // SAFETY: the caller's.
        return unsafe { multiply_bf16(a, stride, strip, panels, sums) };
    }
    for start in (0..strip.groups).step_by(CHUNK) {
        let chunk = start..strip.groups.min(start + CHUNK);
        for panel in 0..panels {
            // SAFETY: the caller's.
            unsafe { multiply_part(format, &a[start..], stride, &strip.panel(panel)[chunk.clone()], panel, sums) };
        }
    }
}

/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_bf16(a: &[u32], stride: usize, strip: Strip, panels: usize, sums: &mut [Sums]) {
    let mut rows = vec![[0; CHUNK + BANK]; sums.len()];
    let mut lanes = [Lane::zeroed(); CHUNK];
    for start in (0..strip.groups).step_by(CHUNK / 2) {
        let chunk = start..strip.groups.min(start + CHUNK / 2);
        for (wide, a) in rows.iter_mut().zip(a[start..].chunks(stride)) {
            for (wide, group) in wide.chunks_exact_mut(2).zip(&a[..chunk.len()]) {
                [wide[0], wide[1]] = widened(*group);
            }
        }
        for panel in 0..panels {
            for (wide, groups) in lanes.chunks_exact_mut(2).zip(&strip.panel(panel)[chunk.clone()]) {
                let [low, high] = wide else { unreachable!("chunks of two") };
                for ((low, high), group) in low.0.iter_mut().zip(&mut high.0).zip(groups.0) {
                    [*low, *high] = widened(group);
                }
            }
            let (wide, part) = (rows.as_flattened(), &lanes[..2 * chunk.len()]);
            // SAFETY: the caller's.
            unsafe { multiply_part(Format::F32, wide, CHUNK + BANK, part, panel, sums) };
        }
    }
}

/// The two numbers of a group of bf16 as f32.
#[inline(always)]
fn widened(group: u32) -> [u32; 2] {
    [group << 16, group & 0xffff_0000]
}

/// See [`super::transpose`].
#[target_feature(enable = "avx2")]
pub(super) fn transpose(square: &mut [Lane; 16]) {
    let start: *mut __m256 = square.as_mut_ptr().cast();
    // Half a row: `half` 0 or 1 of row `row`.
    let at = |row: usize, half: usize| start.wrapping_add(2 * row + half);
    // SAFETY: within the square, whose halves of lanes are as large and as aligned as vectors.
    let read = |row, half| std::array::from_fn(|index| unsafe { _mm256_load_ps(at(row + index, half).cast()) });
    let write = |row, half, quarter: [__m256; 8]| {
        for (index, x) in quarter.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { _mm256_store_ps(at(row + index, half).cast(), x) };
        }
    };
    let (upper, lower) = (transpose_quarter(read(0, 1)), transpose_quarter(read(8, 0)));
    write(0, 0, transpose_quarter(read(0, 0)));
    write(8, 1, transpose_quarter(read(8, 1)));
    write(8, 0, upper);
    write(0, 1, lower);
}

/// The transpose of a square of 8 × 8.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose_quarter(rows: [__m256; 8]) -> [__m256; 8] {
    // Pairs of rows, then fours, then eights: each step doubles what stands together.
    let pairs: [__m256; 8] = std::array::from_fn(|index| match index % 2 {
        0 => _mm256_unpacklo_ps(rows[index], rows[index + 1]),
        _ => _mm256_unpackhi_ps(rows[index - 1], rows[index]),
    });
    let fours: [__m256; 8] = std::array::from_fn(|index| {
        let first = index / 4 * 4 + index % 4 / 2;
        match index % 2 {
            0 => _mm256_shuffle_ps::<0b0100_0100>(pairs[first], pairs[first + 2]),
            _ => _mm256_shuffle_ps::<0b1110_1110>(pairs[first], pairs[first + 2]),
        }
    });
    std::array::from_fn(|index| match index / 4 {
        0 => _mm256_permute2f128_ps::<0x20>(fours[index], fours[index + 4]),
        _ => _mm256_permute2f128_ps::<0x31>(fours[index - 4], fours[index]),
    })
}

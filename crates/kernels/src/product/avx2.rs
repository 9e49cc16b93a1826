//! Products in AVX2: f32, and int8 for which it has no instruction that sums in 32 bits. Two products are summed in 16,
//! for which weights keep to 7 bits ([`super::Product::int8_weight_limit`]).

use std::arch::x86_64::*;

use super::tile::{Sums, TILE_ROWS, tiles};
use crate::{
    format::Format,
    lane::{Lane, Strip},
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
unsafe fn add_panel(format: Format, a: &[u32], stride: usize, part: &[Lane], panel: usize, sums: &mut [Sums]) {
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

/// Adds the products of rows of `a`, `stride` groups apart, with the first `panels` panels of a strip to their sums; f32
/// and int8.
///
/// # Safety
/// The processor has AVX2 and FMA.
pub(super) unsafe fn add(format: Format, a: &[u32], stride: usize, strip: Strip, panels: usize, sums: &mut [Sums]) {
    for start in (0..strip.groups()).step_by(CHUNK) {
        let part = strip.part(start..strip.groups().min(start + CHUNK));
        for panel in 0..panels {
            // SAFETY: the caller's.
            unsafe { add_panel(format, &a[start..], stride, part.panel(panel), panel, sums) };
        }
    }
}

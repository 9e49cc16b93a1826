//! Products and transposition in AVX-512.

use std::arch::x86_64::*;

use super::tile::{Sums, TILE_ROWS, tiles};
use crate::{
    format::Format,
    lane::{Lane, STRIP, Strip},
};

/// The loop of a product in one format: rows of `a`, `stride` groups apart, times a strip. Of each group, one vector of
/// each panel is multiplied with one group of each row.
macro_rules! tile_in {
    ($name:ident, $features:literal, $multiply_add:expr) => {
        #[target_feature(enable = $features)]
        fn $name<const ROWS: usize>(a: &[u32], stride: usize, strip: Strip, ahead: &[Lane], sums: &mut [Sums]) {
            let groups = strip.groups;
            assert!(a.len() >= (ROWS - 1) * stride + groups && strip.lanes.len() == STRIP * groups);
            let (a, panels) = (a.as_ptr(), strip.lanes.as_ptr().cast::<__m512i>());
            let ahead_len = ahead.len();
            let ahead = ahead.as_ptr();
            let mut acc = [[_mm512_setzero_si512(); STRIP]; ROWS];
            for group in 0..groups {
                // SAFETY: `panels` has STRIP · groups vectors, aligned as `Lane` is; `a` was checked above. A prefetch
                // reads nothing.
                unsafe {
                    if group < ahead_len {
                        _mm_prefetch::<_MM_HINT_T1>(ahead.add(group).cast());
                    }
                    let b: [__m512i; STRIP] =
                        std::array::from_fn(|panel| _mm512_load_si512(panels.add(panel * groups + group)));
                    for row in 0..ROWS {
                        let a = _mm512_set1_epi32(*a.add(row * stride + group) as i32);
                        for panel in 0..STRIP {
                            acc[row][panel] = $multiply_add(acc[row][panel], a, b[panel]);
                        }
                    }
                }
            }
            for (sums, acc) in sums.iter_mut().zip(&acc) {
                for (sum, acc) in sums.iter_mut().zip(acc) {
                    // SAFETY: a lane is as large and as aligned as a vector.
                    unsafe { _mm512_store_si512(std::ptr::from_mut(sum).cast(), *acc) };
                }
            }
        }
    };
}

tile_in!(tile_f32, "avx512f", |acc, a, b| _mm512_castps_si512(_mm512_fmadd_ps(
    _mm512_castsi512_ps(a),
    _mm512_castsi512_ps(b),
    _mm512_castsi512_ps(acc)
)));
tile_in!(tile_bf16, "avx512f,avx512bf16", |acc, a: __m512i, b: __m512i| {
    // bf16 vectors have a type of their own and no cast.
    let (a, b) = (std::mem::transmute::<__m512i, __m512bh>(a), std::mem::transmute::<__m512i, __m512bh>(b));
    _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(acc), a, b))
});
tile_in!(tile_int8, "avx512f,avx512vnni", |acc, a, b| _mm512_dpbusd_epi32(acc, a, b));

/// See [`super::multiply`].
///
/// # Safety
/// The processor has AVX-512F and, for their formats, its BF16 and VNNI.
pub(super) unsafe fn multiply(
    format: Format,
    a: &[u32],
    stride: usize,
    strip: Strip,
    ahead: &[Lane],
    sums: &mut [Sums],
) {
    for (number, tile) in tiles(sums.len()).enumerate() {
        let ahead = ahead.get(number * strip.groups..).unwrap_or(&[]);
        let (a, sums) = (&a[tile.start * stride..], &mut sums[tile]);
        macro_rules! by_rows {
            ($tile:ident) => {
                // SAFETY: the caller's.
                unsafe {
                    match sums.len() {
                        1 => $tile::<1>(a, stride, strip, ahead, sums),
                        2 => $tile::<2>(a, stride, strip, ahead, sums),
                        3 => $tile::<3>(a, stride, strip, ahead, sums),
                        4 => $tile::<4>(a, stride, strip, ahead, sums),
                        5 => $tile::<5>(a, stride, strip, ahead, sums),
                        _ => $tile::<TILE_ROWS>(a, stride, strip, ahead, sums),
                    }
                }
            };
        }
        match format {
            Format::F32 => by_rows!(tile_f32),
            Format::Bf16 => by_rows!(tile_bf16),
            Format::Int8 => by_rows!(tile_int8),
        }
    }
}

/// See [`super::transpose`].
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(square: &mut [Lane; 16]) {
    // SAFETY: a lane is as large and as aligned as a vector.
    let rows: [__m512i; 16] = std::array::from_fn(|row| unsafe { _mm512_load_si512((&raw const square[row]).cast()) });
    // Pairs of rows, then fours, then eights, then all: each step doubles what stands together.
    let pairs: [__m512i; 16] = std::array::from_fn(|index| match index % 2 {
        0 => _mm512_unpacklo_epi32(rows[index], rows[index + 1]),
        _ => _mm512_unpackhi_epi32(rows[index - 1], rows[index]),
    });
    let fours: [__m512i; 16] = std::array::from_fn(|index| {
        let (a, b) = (index / 4 * 4 + index % 4 / 2, index / 4 * 4 + index % 4 / 2 + 2);
        match index % 2 {
            0 => _mm512_unpacklo_epi64(pairs[a], pairs[b]),
            _ => _mm512_unpackhi_epi64(pairs[a], pairs[b]),
        }
    });
    let eights: [__m512i; 16] = std::array::from_fn(|index| {
        let (a, b) = (index / 8 * 8 + index % 4, index / 8 * 8 + index % 4 + 4);
        match index % 8 / 4 {
            0 => _mm512_shuffle_i32x4::<0b1000_1000>(fours[a], fours[b]),
            _ => _mm512_shuffle_i32x4::<0b1101_1101>(fours[a], fours[b]),
        }
    });
    for index in 0..8 {
        let (a, b) = (eights[index], eights[index + 8]);
        // SAFETY: as above.
        unsafe {
            let low = _mm512_shuffle_i32x4::<0b1000_1000>(a, b);
            let high = _mm512_shuffle_i32x4::<0b1101_1101>(a, b);
            _mm512_store_si512((&raw mut square[index]).cast(), low);
            _mm512_store_si512((&raw mut square[index + 8]).cast(), high);
        }
    }
}

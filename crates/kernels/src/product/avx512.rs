//! Products in AVX-512: f32, bf16 where it has BF16, and int8, which without VNNI takes weights of 7 bits
//! ([`super::Product::int8_weight_limit`]).

use std::arch::x86_64::*;

use super::tile::{Sums, TILE_ROWS, tiles};
use crate::{
    format::Format,
    lane::{Lane, STRIP, Strip},
    processor::Unit,
};

/// The loop of a product in one format: rows of `a`, `stride` groups apart, times a strip, added to the sums with it. Of
/// each group, one vector of each panel is multiplied with one group of each row.
macro_rules! tile_in {
    ($name:ident, $features:literal, $multiply_add:expr) => {
        #[target_feature(enable = $features)]
        fn $name<const ROWS: usize>(a: &[u32], stride: usize, strip: Strip, ahead: &[Lane], sums: &mut [Sums]) {
            let groups = strip.groups();
            assert!(a.len() >= (ROWS - 1) * stride + groups && sums.len() == ROWS);
            let a = a.as_ptr();
            let panels: [*const __m512i; STRIP] = std::array::from_fn(|panel| strip.panel(panel).as_ptr().cast());
            let ahead_len = ahead.len();
            let ahead = ahead.as_ptr();
            // By index, so that the array becomes registers.
            let mut acc = [[_mm512_setzero_si512(); STRIP]; ROWS];
            for row in 0..ROWS {
                for panel in 0..STRIP {
                    // SAFETY: a lane is as large and as aligned as a vector.
                    acc[row][panel] = unsafe { _mm512_load_si512((&raw const sums[row][panel]).cast()) };
                }
            }
            for group in 0..groups {
                // SAFETY: each panel has `groups` vectors, aligned as `Lane` is; `a` was checked above. A prefetch reads
                // nothing.
                unsafe {
                    if group < ahead_len {
                        _mm_prefetch::<_MM_HINT_T1>(ahead.add(group).cast());
                    }
                    let b: [__m512i; STRIP] = std::array::from_fn(|panel| _mm512_load_si512(panels[panel].add(group)));
                    for row in 0..ROWS {
                        let a = _mm512_set1_epi32(*a.add(row * stride + group) as i32);
                        for panel in 0..STRIP {
                            acc[row][panel] = $multiply_add(acc[row][panel], a, b[panel]);
                        }
                    }
                }
            }
            for row in 0..ROWS {
                for panel in 0..STRIP {
                    // SAFETY: as above.
                    unsafe { _mm512_store_si512((&raw mut sums[row][panel]).cast(), acc[row][panel]) };
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
tile_in!(tile_vnni, "avx512f,avx512vnni", |acc, a, b| _mm512_dpbusd_epi32(acc, a, b));
tile_in!(tile_int8, "avx512f,avx512bw", |acc, a, b| {
    let pairs = _mm512_maddubs_epi16(a, b); // 32 sums of two products
    _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
});

/// Adds the products of rows of `a`, `stride` groups apart, with a strip to their sums; fetches `ahead` meanwhile.
///
/// # Safety
/// The processor has AVX-512F and BW, and BF16 or VNNI if they are the unit.
pub(super) unsafe fn add(
    unit: Unit,
    format: Format,
    a: &[u32],
    stride: usize,
    strip: Strip,
    ahead: &[Lane],
    sums: &mut [Sums],
) {
    for (number, tile) in tiles(sums.len()).enumerate() {
        let ahead = ahead.get(number * strip.groups()..).unwrap_or(&[]);
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
        match (format, unit) {
            (Format::F32, _) => by_rows!(tile_f32),
            (Format::Bf16, Unit::Avx512Bf16) => by_rows!(tile_bf16),
            (Format::Bf16, _) => unreachable!("bf16 is widened to f32 before"),
            (Format::Int8, Unit::Avx512Vnni) => by_rows!(tile_vnni),
            (Format::Int8, _) => by_rows!(tile_int8),
        }
    }
}

//! The transpose of a square of 16 × 16 numbers of 32 bits, by which rows become the columns of panels.

use std::arch::x86_64::*;

use crate::{
    lane::Lane,
    processor::{Processor, Vectors},
};

/// The transpose of a square of 32-bit numbers.
#[inline(always)]
pub(crate) fn transpose(square: &mut [Lane; 16]) {
    match Processor::current().vectors() {
        // SAFETY: the processor has these instructions.
        Vectors::Avx512 => unsafe { avx512(square) },
        // SAFETY: as above.
        Vectors::Avx2 => unsafe { avx2(square) },
        Vectors::Portable => portable(square),
    }
}

fn portable(square: &mut [Lane; 16]) {
    for row in 0..16 {
        for column in 0..row {
            let upper = square[column].0[row];
            square[column].0[row] = std::mem::replace(&mut square[row].0[column], upper);
        }
    }
}

#[target_feature(enable = "avx2")]
fn avx2(square: &mut [Lane; 16]) {
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

#[target_feature(enable = "avx512f")]
fn avx512(square: &mut [Lane; 16]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_is_transposed() {
        for transpose in [transpose, portable] {
            let mut square: [Lane; 16] =
                std::array::from_fn(|row| Lane(std::array::from_fn(|column| (100 * row + column) as u32)));
            transpose(&mut square);
            for (row, lane) in square.iter().enumerate() {
                assert_eq!(lane.0, std::array::from_fn(|column| (100 * column + row) as u32));
            }
        }
    }
}

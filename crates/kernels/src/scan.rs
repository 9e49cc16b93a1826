//! One vector against every row of a matrix that is read once from memory: what exact search does.
//!
//! The time is that of the memory, not of the products: a number of 1 byte takes a quarter of the time of one of 4.

use crate::{convert::from_bf16, vectorize::vectorize};

/// Writes the dot product of `vector` with each row, of its length, to `scores`.
///
/// # Panics
/// If `rows` does not hold a row for each score, here and below.
pub fn scan(rows: &[f32], vector: &[f32], scores: &mut [f32]) {
    each(
        rows,
        vector.len(),
        scores,
        #[inline(always)]
        |row| dot(row, vector),
    );
}

/// The same for rows in bfloat16.
pub fn scan_bf16(rows: &[u16], vector: &[f32], scores: &mut [f32]) {
    each(
        rows,
        vector.len(),
        scores,
        #[inline(always)]
        |row| dot_bf16(row, vector),
    );
}

/// The same for rows in 8 bits, and a vector of such numbers in 16; a sum of 2¹⁶ products fits.
pub fn scan_int8(rows: &[i8], vector: &[i16], scores: &mut [i32]) {
    each(
        rows,
        vector.len(),
        scores,
        #[inline(always)]
        |row| dot_int8(row, vector),
    );
}

#[inline(always)]
fn each<T, S>(rows: &[T], width: usize, scores: &mut [S], product: impl Fn(&[T]) -> S) {
    assert_eq!(rows.len(), scores.len() * width, "a row of {width} numbers for each score");
    vectorize(
        #[inline(always)]
        || {
            // A loop, since `for_each` is compiled by itself, for any processor.
            for (row, score) in rows.chunks_exact(width).zip(scores) {
                *score = product(row);
            }
        },
    );
}

/// Σ of `product` over all indices below `len`. In many partial sums: one that waits for the one before would be slower than
/// the memory.
#[inline(always)]
fn sum(len: usize, product: impl Fn(usize, f32) -> f32) -> f32 {
    const LANES: usize = 64;
    let mut partial = [0.0f32; LANES];
    let whole = len / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, partial) in partial.iter_mut().enumerate() {
            *partial = product(start + lane, *partial);
        }
    }
    (whole..len).fold(partial.iter().sum(), |sum, index| product(index, sum))
}

#[inline(always)]
fn dot(row: &[f32], vector: &[f32]) -> f32 {
    let vector = &vector[..row.len()];
    sum(
        row.len(),
        #[inline(always)]
        |index, sum| row[index].mul_add(vector[index], sum),
    )
}

#[inline(always)]
fn dot_bf16(row: &[u16], vector: &[f32]) -> f32 {
    let vector = &vector[..row.len()];
    sum(
        row.len(),
        #[inline(always)]
        |index, sum| from_bf16(row[index]).mul_add(vector[index], sum),
    )
}

#[inline(always)]
fn dot_int8(row: &[i8], vector: &[i16]) -> i32 {
    row.iter().zip(vector).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::to_bf16;

    #[test]
    fn a_scan_gives_the_dot_product_with_every_row() {
        for (count, width) in [(1, 1), (3, 17), (2500, 48), (1025, 100)] {
            let number = |index: usize| ((index * 2_654_435_761) % 255) as f32 - 127.0;
            let rows: Vec<f32> = (0..count * width).map(number).collect();
            let vector: Vec<f32> = (0..width).map(|index| number(index + 7)).collect();
            let exact = |row: &[f32]| row.iter().zip(&vector).map(|(x, y)| f64::from(x * y)).sum::<f64>();
            let expected: Vec<f64> = rows.chunks(width).map(exact).collect();
            let (mut scores, mut integers) = (vec![f32::NAN; count], vec![i32::MIN; count]);
            let agree = |scores: &[f32], what: &str| {
                let tolerance = 1e-6 * 127.0 * 127.0 * width as f64;
                for (&score, expected) in scores.iter().zip(&expected) {
                    assert!((f64::from(score) - expected).abs() < tolerance, "{what}: {score} {expected}");
                }
            };
            scan(&rows, &vector, &mut scores);
            agree(&scores, "f32");
            // Integers of 8 bits are exact in bfloat16.
            scan_bf16(&rows.iter().map(|&x| to_bf16(x)).collect::<Vec<_>>(), &vector, &mut scores);
            agree(&scores, "bf16");
            let bytes: Vec<i8> = rows.iter().map(|&x| x as i8).collect();
            scan_int8(&bytes, &vector.iter().map(|&x| x as i16).collect::<Vec<_>>(), &mut integers);
            assert!(integers.iter().zip(&expected).all(|(&found, &expected)| f64::from(found) == expected));
        }
    }
}

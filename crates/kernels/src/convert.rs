//! Conversions from f32 to the number formats of products and back; written for [`vectorize`](crate::vectorize).

use crate::{
    format::{Format, INT8_HAS_SCALES},
    vector::range,
};

/// bfloat16 bits, rounded to nearest even; NaN stays NaN.
#[inline(always)]
pub(crate) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    (if x.is_nan() { (bits >> 16) | 0x40 } else { rounded }) as u16
}

#[inline(always)]
pub(crate) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Two numbers in bf16, the first in the low half.
#[inline(always)]
pub(crate) fn pair(low: f32, high: f32) -> u32 {
    u32::from(to_bf16(low)) | (u32::from(to_bf16(high)) << 16)
}

/// The two numbers of a group of bf16, as bits of f32.
#[inline(always)]
pub(crate) fn widened(group: u32) -> [u32; 2] {
    [group << 16, group & 0xffff_0000]
}

/// A row in f32 or bf16; what `groups` have beyond it becomes zero.
///
/// # Panics
/// Of int8.
#[inline(always)]
pub(crate) fn encode(format: Format, row: &[f32], groups: &mut [u32]) {
    match format {
        Format::F32 => {
            let (numbers, rest) = groups.split_at_mut(row.len());
            // Cache lines, compiled in place: rows are often too short for a call.
            let ((to, to_rest), (from, from_rest)) = (numbers.as_chunks_mut::<16>(), row.as_chunks::<16>());
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from.map(f32::to_bits));
            to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = from.to_bits());
            rest.fill(0);
        }
        Format::Bf16 => {
            let (numbers, rest) = bytemuck::cast_slice_mut::<_, u16>(groups).split_at_mut(row.len());
            row.iter().zip(numbers).for_each(|(x, number)| *number = to_bf16(*x));
            rest.fill(0);
        }
        Format::Int8 => panic!("{INT8_HAS_SCALES}"),
    }
}

/// The inverse of [`encode`].
///
/// # Panics
/// Of int8.
#[inline(always)]
pub(crate) fn decode(format: Format, groups: &[u32], row: &mut [f32]) {
    match format {
        Format::F32 => row.copy_from_slice(bytemuck::cast_slice(&groups[..row.len()])),
        Format::Bf16 => {
            let numbers: &[u16] = bytemuck::cast_slice(groups);
            row.iter_mut().zip(numbers).for_each(|(x, bits)| *x = from_bf16(*bits));
        }
        Format::Int8 => panic!("{INT8_HAS_SCALES}"),
    }
}

/// A row of activations in 8 bits, of which a number is `scale · q + offset`; returns scale and offset. What `groups` have
/// beyond it becomes zero.
#[inline(always)]
pub(crate) fn quantize(row: &[f32], groups: &mut [u32]) -> (f32, f32) {
    const ROUND: f32 = 8_388_608.0; // 2²³: adding it rounds to an integer and leaves that in the low bits
    let (least, largest, finite) = range(row);
    // A row of one value has no range; its offset is that value.
    let scale = if largest > least { (largest - least) / 255.0 } else { 1.0 };
    let factor = 1.0 / scale;
    let (numbers, rest) = bytemuck::cast_slice_mut::<_, u8>(groups).split_at_mut(row.len());
    for (x, number) in row.iter().zip(numbers) {
        *number = ((x - least) * factor + ROUND).to_bits() as u8;
    }
    rest.fill(0);
    // What is not finite has no place in 8 bits, and must not come out as a number.
    if finite { (scale, least) } else { (f32::NAN, f32::NAN) }
}

/// The weights of an output in 8 bits up to `limit`, of which one is `scale · q`; returns the scale and the sum of all q.
/// What `groups` have beyond them becomes zero.
#[inline(always)]
pub(crate) fn quantize_weights(row: &[f32], limit: i8, groups: &mut [u32]) -> (f32, i32) {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³, for numbers of either sign
    let (least, largest, finite) = range(row);
    let largest = largest.max(-least);
    let scale = if largest > 0.0 { largest / f32::from(limit) } else { 1.0 };
    let (numbers, rest) = bytemuck::cast_slice_mut::<_, i8>(groups).split_at_mut(row.len());
    let mut sum = 0;
    for (x, number) in row.iter().zip(numbers) {
        *number = (x / scale + ROUND).to_bits() as i8;
        sum += i32::from(*number);
    }
    rest.fill(0);
    // As in a row of activations: what is not finite must not come out as a number.
    (if finite { scale } else { f32::NAN }, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_nearest_even() {
        for (x, bits) in [(1.0f32, 0x3f80), (1.003_906_2, 0x3f80), (1.011_718_8, 0x3f82), (f32::INFINITY, 0x7f80)] {
            assert_eq!(to_bf16(x), bits, "{x}");
        }
        assert!(from_bf16(to_bf16(f32::NAN)).is_nan());
    }

    #[test]
    fn groups_beyond_a_row_become_zero() {
        let row = [1.0, -2.0, 3.0, 0.5, 0.25];
        for format in [Format::F32, Format::Bf16] {
            let mut groups = [u32::MAX; 16];
            encode(format, &row, &mut groups);
            let mut decoded = [f32::NAN; 5];
            decode(format, &groups, &mut decoded);
            assert_eq!(decoded, row);
            assert!(groups[row.len().div_ceil(format.per_group())..].iter().all(|group| *group == 0));
        }
        let mut groups = [u32::MAX; 4];
        let (scale, offset) = quantize(&row, &mut groups);
        assert_eq!((scale, offset), (5.0 / 255.0, -2.0));
        assert_eq!(groups[1..], [115, 0, 0], "2.25 over the least, and nothing beyond");
        groups.fill(u32::MAX);
        let (scale, sum) = quantize_weights(&row, 127, &mut groups);
        assert_eq!((scale, sum), (3.0 / 127.0, 42 - 85 + 127 + 21 + 11));
        assert_eq!(groups[1..], [11, 0, 0]);
    }
}

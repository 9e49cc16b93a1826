//! Products and transposition without vector instructions.

use super::tile::Sums;
use crate::{
    format::Format,
    lane::{Lane, Strip},
};

/// See [`super::multiply`].
pub(super) fn multiply(format: Format, a: &[u32], stride: usize, strip: Strip, sums: &mut [Sums]) {
    for (row, sums) in sums.iter_mut().enumerate() {
        let a = &a[row * stride..][..strip.groups];
        for (panel, sums) in sums.iter_mut().enumerate() {
            let panel = strip.panel(panel);
            for (column, sum) in sums.0.iter_mut().enumerate() {
                let groups = a.iter().zip(panel).map(|(&a, b)| (a, b.0[column]));
                *sum = match format {
                    Format::F32 => {
                        groups.fold(0.0, |sum, (a, b)| sum + f32::from_bits(a) * f32::from_bits(b)).to_bits()
                    }
                    Format::Bf16 => groups.fold(0.0, |sum, (a, b)| sum + dot_bf16(a, b)).to_bits(),
                    Format::Int8 => groups.fold(0, |sum, (a, b)| sum + dot_int8(a, b)) as u32,
                };
            }
        }
    }
}

fn dot_bf16(a: u32, b: u32) -> f32 {
    let low = |group: u32| f32::from_bits(group << 16);
    let high = |group: u32| f32::from_bits(group & 0xffff_0000);
    low(a) * low(b) + high(a) * high(b)
}

fn dot_int8(a: u32, b: u32) -> i32 {
    let products = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
    products.map(|(a, b)| i32::from(a) * i32::from(b as i8)).sum()
}

/// See [`super::transpose`].
pub(super) fn transpose(square: &mut [Lane; 16]) {
    for row in 0..16 {
        for column in 0..row {
            let upper = square[column].0[row];
            square[column].0[row] = std::mem::replace(&mut square[row].0[column], upper);
        }
    }
}

//! Products without vector instructions.

use super::Sums;
use crate::{convert::widened, format::Format, lane::Strip};

/// See [`super::Product::multiply`].
pub(super) fn multiply(format: Format, a: &[u32], stride: usize, strip: Strip, panels: usize, sums: &mut [Sums]) {
    for (row, sums) in sums.iter_mut().enumerate() {
        let a = &a[row * stride..][..strip.groups()];
        for (panel, sums) in sums.iter_mut().enumerate().take(panels) {
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

/// The product of two groups of bf16.
pub(super) fn dot_bf16(a: u32, b: u32) -> f32 {
    let products = widened(a).into_iter().zip(widened(b));
    products.map(|(a, b)| f32::from_bits(a) * f32::from_bits(b)).sum()
}

/// The product of four unsigned bytes with four signed ones.
pub(super) fn dot_int8(a: u32, b: u32) -> i32 {
    let products = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
    products.map(|(a, b)| i32::from(a) * i32::from(b as i8)).sum()
}

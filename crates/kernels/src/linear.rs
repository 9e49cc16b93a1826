//! A linear layer whose weights are laid out once, at load.

use rayon::prelude::*;

use crate::{
    activation::Activation,
    convert::quantize_weights,
    format::Format,
    lane::{Lane, PANEL},
    panels::{Panels, columns_into, transpose_into},
    product::{COLUMNS, multiply, of_columns},
    rows::Rows,
    vectorize::vectorize,
};

/// y = x Wᵀ + b, with W in one of the number formats.
#[derive(Debug)]
pub struct Linear {
    weights: Panels,
    outputs: usize,
    bias: Vec<f32>,  // (output), in whole strips, and so are
    scale: Vec<f32>, // (output), of Int8
    sums: Vec<f32>,  // (output), of Int8: the weights of an output summed, times its scale
}

impl Linear {
    /// A layer with `weight` of (output, input) and `bias` of (output).
    pub fn new(format: Format, weight: &[f32], bias: &[f32]) -> Self {
        let output = bias.len();
        let input = weight.len() / output.max(1);
        assert_eq!(weight.len(), output * input, "weight is (output, input)");
        let rows: Vec<&[f32]> = weight.chunks_exact(input.max(1)).collect();
        let whole = output.next_multiple_of(COLUMNS);
        let (mut scale, mut sums) = (vec![0.0; whole], vec![0.0; whole]);
        let mut weights = Panels::new(format);
        weights.reset(input, output);
        let (limit, groups) = (weights.product().int8_weight_limit(), weights.groups());
        let scales = scale.par_chunks_mut(PANEL).zip(sums.par_chunks_mut(PANEL));
        weights.par_iter_mut().zip(rows.par_chunks(PANEL)).zip(scales).for_each(|((panel, rows), (scale, sums))| {
            vectorize(
                #[inline(always)]
                || match format {
                    Format::F32 | Format::Bf16 => columns_into(panel, format, rows),
                    Format::Int8 => quantized_into(panel, groups, limit, rows, scale, sums),
                },
            );
        });
        let mut bias = bias.to_vec();
        bias.resize(whole, 0.0);
        Self { weights, outputs: output, bias, scale, sums }
    }

    /// (tokens, input) to (tokens, output), and an activation of it while it is in the cache.
    pub fn forward(&self, x: &Rows, activation: Option<Activation>, out: &mut Vec<f32>) {
        out.resize(x.tokens() * self.outputs, 0.0);
        multiply(
            x,
            0..x.tokens(),
            &self.weights,
            out,
            #[inline(always)]
            |row, first, sums, out| {
                let bias = of_columns(&self.bias, first);
                if x.format() == Format::Int8 {
                    let (scale, offset) = x.quantization(row);
                    let (scales, weights) = (of_columns(&self.scale, first), of_columns(&self.sums, first));
                    for column in 0..COLUMNS {
                        let bias = offset.mul_add(weights[column], bias[column]);
                        out[column] = (sums[column] as i32 as f32).mul_add(scale * scales[column], bias);
                    }
                } else {
                    for column in 0..COLUMNS {
                        out[column] = f32::from_bits(sums[column]) + bias[column];
                    }
                }
                if let Some(activation) = activation {
                    activation.row(out);
                }
            },
        );
    }

    /// Memory of the weights.
    pub fn bytes(&self) -> usize {
        self.weights.bytes()
    }
}

/// Rows of weights in 8 bits become the columns of a panel; their scales, and their sums times these.
#[inline(always)]
fn quantized_into(panel: &mut [Lane], groups: usize, limit: i8, rows: &[&[f32]], scale: &mut [f32], sums: &mut [f32]) {
    let mut quantized = vec![0; rows.len() * groups];
    for (index, row) in rows.iter().enumerate() {
        let (unit, sum) = quantize_weights(row, limit, &mut quantized[index * groups..][..groups]);
        (scale[index], sums[index]) = (unit, sum as f32 * unit);
    }
    transpose_into(
        panel,
        rows.len(),
        #[inline(always)]
        |row, group, lane| {
            let row = &quantized[row * groups..][..groups];
            let part = &row[group..groups.min(group + PANEL)];
            lane.0[..part.len()].copy_from_slice(part);
        },
    );
}

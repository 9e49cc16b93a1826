//! A linear layer whose weights are laid out once, at load.

use crate::{
    factor::product, format::Format, lane::PANEL, panels::Panels, raw::int8_weight_limit, rows::Rows, vector::to_bf16,
};

/// y = x Wᵀ + b, with W in one of the number formats.
#[derive(Debug)]
pub struct Linear {
    format: Format,
    weights: Panels,
    bias: Vec<f32>,  // (output)
    scale: Vec<f32>, // (output), of Int8
    sums: Vec<f32>,  // (output), of Int8: the weights of an output summed, times its scale
}

impl Linear {
    /// A layer with `weight` of (output, input) and `bias` of (output).
    pub fn new(format: Format, weight: &[f32], bias: &[f32]) -> Self {
        let output = bias.len();
        let input = weight.len() / output.max(1);
        assert_eq!(weight.len(), output * input, "weight is (output, input)");
        let (mut scale, mut sums) = (vec![0.0; output], vec![0.0; output]);
        let limit = f32::from(int8_weight_limit());
        let mut weights = Panels::default();
        weights.reset(input.div_ceil(format.per_group()), output);
        for (index, row) in weight.chunks_exact(input.max(1)).enumerate() {
            let (panel, column) = (weights.panel_mut(index / PANEL), index % PANEL);
            match format {
                Format::F32 => (0..input).for_each(|k| panel[k].0[column] = row[k].to_bits()),
                Format::Bf16 => {
                    let panel: &mut [u16] = bytemuck::cast_slice_mut(panel);
                    (0..input).for_each(|k| panel[(k / 2 * PANEL + column) * 2 + k % 2] = to_bf16(row[k]));
                }
                Format::Int8 => {
                    let largest = row.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
                    let unit = if largest > 0.0 { largest / limit } else { 1.0 };
                    let panel: &mut [i8] = bytemuck::cast_slice_mut(panel);
                    let mut sum = 0;
                    for (k, x) in row.iter().enumerate() {
                        let q = (x / unit).round() as i8;
                        panel[(k / 4 * PANEL + column) * 4 + k % 4] = q;
                        sum += i32::from(q);
                    }
                    // As in a row of activations: what is not finite must not come out as a number.
                    scale[index] = if row.iter().all(|x| x.is_finite()) { unit } else { f32::NAN };
                    sums[index] = sum as f32 * scale[index];
                }
            }
        }
        Self { format, weights, bias: bias.to_vec(), scale, sums }
    }

    /// (tokens, input) to (tokens, output).
    pub fn forward(&self, x: &Rows, out: &mut Vec<f32>) {
        out.resize(x.tokens() * self.bias.len(), 0.0);
        product(
            x,
            0..x.tokens(),
            self.format,
            &self.weights,
            out,
            #[inline(always)]
            |row, columns, sums, out| {
                let outputs = out.iter_mut().zip(sums).zip(&self.bias[columns.clone()]);
                if self.format != Format::Int8 {
                    for ((out, sum), bias) in outputs {
                        *out = f32::from_bits(*sum) + bias;
                    }
                    return;
                }
                let (scale, offset) = (x.scale[row], x.offset[row]);
                let weights = self.scale[columns.clone()].iter().zip(&self.sums[columns]);
                for (((out, sum), bias), (weight_scale, weight_sum)) in outputs.zip(weights) {
                    *out = (*sum as i32 as f32).mul_add(scale * weight_scale, offset.mul_add(*weight_sum, *bias));
                }
            },
        );
    }

    /// Memory of the weights.
    pub fn bytes(&self) -> usize {
        self.weights.bytes()
    }
}

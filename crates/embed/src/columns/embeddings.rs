//! Embeddings as columns of a table.

use std::sync::Arc;

use anyhow::Context;
use arrow_array::{ArrayRef, FixedSizeListArray, Float16Array, Float32Array, Int8Array, UInt8Array};
use arrow_buffer::NullBuffer;
use arrow_schema::Field;
use half::f16;
use model::Ranges;

use super::Dtype;
use crate::quantize::quantize;

/// The embeddings of `rows` as a column of `count` rows, and in int8 a column of scales. `ranges` are asked for where
/// embeddings are quantized by them.
pub(crate) fn embedding_columns(
    embeddings: &[f32],
    rows: &[usize],
    count: usize,
    width: usize,
    dtype: Dtype,
    ranges: &Ranges,
) -> anyhow::Result<Vec<ArrayRef>> {
    let mut is_there = vec![false; count];
    rows.iter().for_each(|&row| is_there[row] = true);
    let nulls = NullBuffer::from(is_there);
    let placed = || rows.iter().zip(embeddings.chunks_exact(width));
    let mut scales = None;
    let values: ArrayRef = match dtype {
        Dtype::F32 => {
            let mut values = vec![0f32; count * width];
            placed().for_each(|(&row, embedding)| values[row * width..][..width].copy_from_slice(embedding));
            Arc::new(Float32Array::from(values))
        }
        Dtype::F16 => {
            let mut values = vec![f16::ZERO; count * width];
            for (&row, embedding) in placed() {
                let into = values[row * width..][..width].iter_mut();
                into.zip(embedding).for_each(|(value, &x)| *value = f16::from_f32(x));
            }
            Arc::new(Float16Array::from(values))
        }
        Dtype::Int8 => {
            let (mut values, mut row_scales) = (vec![0i8; count * width], vec![0f32; count]);
            for (&row, embedding) in placed() {
                row_scales[row] = quantize(embedding, &mut values[row * width..][..width]);
            }
            scales = Some(Arc::new(Float32Array::new(row_scales.into(), Some(nulls.clone()))) as ArrayRef);
            Arc::new(Int8Array::from(values))
        }
        Dtype::Quantized(quantization) => {
            let mut values = vec![0u8; count * dtype.values(width)];
            for (&row, embedding) in placed() {
                let bytes = quantization.quantize(embedding, ranges).bytes();
                values[row * bytes.len()..][..bytes.len()].copy_from_slice(&bytes);
            }
            match quantization.is_signed() {
                true => Arc::new(Int8Array::from_iter_values(values.into_iter().map(u8::cast_signed))),
                false => Arc::new(UInt8Array::from(values)),
            }
        }
    };
    let width = dtype.values(width);
    let element = Arc::new(Field::new("element", dtype.arrow(), false));
    let list =
        FixedSizeListArray::try_new(element, i32::try_from(width)?, values, Some(nulls)).context("embeddings")?;
    Ok([Some(Arc::new(list) as ArrayRef), scales].into_iter().flatten().collect())
}

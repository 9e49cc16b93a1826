//! Embeddings of sentences as plain numbers.

use std::{ops::Index, slice::ChunksExact};

use tch::Tensor;

/// A row of numbers for each of some sentences, all of one width.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embeddings {
    values: Vec<f32>,
    rows: usize,
    width: usize,
}

impl Embeddings {
    /// `rows` embeddings of `width` numbers, all zero.
    pub(crate) fn zeros(rows: usize, width: usize) -> Self {
        Self { values: vec![0.0; rows * width], rows, width }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Numbers of each.
    pub fn width(&self) -> usize {
        self.width
    }

    /// One after the other, in the order of the sentences.
    pub fn rows(&self) -> ChunksExact<'_, f32> {
        self.values.chunks_exact(self.width.max(1))
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.width..][..self.width]
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Some of the rows by their places, in the order of these.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn select(&self, places: &[usize]) -> Self {
        let values = places.iter().flat_map(|&row| &self[row]).copied().collect();
        Self { values, rows: places.len(), width: self.width }
    }

    /// As a tensor on the processor: (sentences, width), f32.
    pub fn to_tensor(&self) -> Tensor {
        Tensor::from_slice(&self.values).view((self.rows as i64, self.width as i64))
    }
}

impl Index<usize> for Embeddings {
    type Output = [f32];

    fn index(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..][..self.width]
    }
}

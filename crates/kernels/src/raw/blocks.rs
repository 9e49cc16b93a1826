//! Blocks of one matrix that several threads write.

use std::{marker::PhantomData, ops::Range};

use rayon::prelude::*;

/// A block of a matrix that no other block shares an element with.
pub(crate) struct Block<'a> {
    start: *mut f32, // of the matrix
    width: usize,
    rows: Range<usize>,    // within the matrix, and so are
    columns: Range<usize>, // which is why both are private
    matrix: PhantomData<&'a mut [f32]>,
}

impl Block<'_> {
    /// Its rows, counted in the matrix.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Its columns, likewise.
    pub(crate) fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// The block's part of a row, which is counted in the matrix.
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(self.rows.contains(&row));
        // SAFETY: within the matrix, as rows and columns are; no other block reaches it, and of this one no other part is
        // borrowed meanwhile.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.add(row * self.width + self.columns.start), self.columns.len())
        }
    }
}

/// Cuts a matrix of rows of `width` into blocks of at most `rows` × `columns`, and calls `body` with each, on all
/// threads. The blocks of the same columns follow one another.
pub(crate) fn for_each_block(
    matrix: &mut [f32],
    width: usize,
    rows: usize,
    columns: usize,
    body: impl Fn(Block) + Sync,
) {
    #[derive(Clone, Copy)]
    struct Start(*mut f32);
    // SAFETY: the blocks that are made of it are disjoint.
    unsafe impl Send for Start {}
    // SAFETY: as above.
    unsafe impl Sync for Start {}
    impl Start {
        fn get(self) -> *mut f32 {
            self.0
        }
    }

    if matrix.is_empty() {
        return;
    }
    let height = matrix.len() / width;
    let (across, down) = (width.div_ceil(columns), height.div_ceil(rows));
    let start = Start(matrix.as_mut_ptr());
    (0..across * down).into_par_iter().for_each(|index| {
        let (column, row) = (index / down * columns, index % down * rows);
        body(Block {
            start: start.get(),
            width,
            rows: row..(row + rows).min(height),
            columns: column..(column + columns).min(width),
            matrix: PhantomData,
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_disjoint_and_cover_a_matrix_of_any_shape() {
        for (height, width) in [(0, 3), (1, 1), (5, 7), (9, 16), (17, 3)] {
            let mut matrix = vec![0.0f32; height * width];
            for_each_block(&mut matrix, width, 4, 5, |mut block| {
                let columns = block.columns();
                for row in block.rows() {
                    for (place, value) in columns.clone().zip(block.row(row)) {
                        *value += (1 + row * width + place) as f32;
                    }
                }
            });
            let expected: Vec<f32> = (1..=height * width).map(|place| place as f32).collect();
            assert_eq!(matrix, expected, "{height} × {width}");
        }
    }

    #[test]
    #[should_panic(expected = "self.rows.contains(&row)")]
    fn a_row_of_another_block_is_out_of_reach() {
        for_each_block(&mut [0.0; 12], 2, 3, 2, |mut block| {
            let row = block.rows().end;
            block.row(row)[0] = 1.0;
        });
    }
}

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

/// Which blocks follow one another on a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Those of the same rows.
    RowsFirst,
    /// Those of the same columns.
    ColumnsFirst,
}

/// Cuts a matrix of rows of `width` into blocks of at most `rows` × `columns`, of about equal height, and calls `body` with each, on all
/// threads, each of which makes itself what it works with by `init`.
pub(crate) fn for_each_block<T>(
    matrix: &mut [f32],
    width: usize,
    rows: usize,
    columns: usize,
    order: Order,
    init: impl Fn() -> T + Sync + Send,
    body: impl Fn(&mut T, Block) + Sync + Send,
) {
    let height = matrix.len() / width.max(1);
    let count = height.div_ceil(rows);
    let bands: Vec<Range<usize>> = (0..count).map(|band| height * band / count..height * (band + 1) / count).collect();
    for_each_of_bands(matrix, width, &bands, columns, order, init, body);
}

/// The same with bands of rows of any height, of which none overlaps the one before.
pub(crate) fn for_each_of_bands<T>(
    matrix: &mut [f32],
    width: usize,
    bands: &[Range<usize>],
    columns: usize,
    order: Order,
    init: impl Fn() -> T + Sync + Send,
    body: impl Fn(&mut T, Block) + Sync + Send,
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
    let ascending = bands.windows(2).all(|bands| bands[0].end <= bands[1].start);
    let within = bands.iter().all(|band| band.start <= band.end && band.end <= matrix.len() / width);
    assert!(ascending && within, "bands of this matrix that do not overlap");
    let across = width.div_ceil(columns);
    let start = Start(matrix.as_mut_ptr());
    (0..across * bands.len()).into_par_iter().for_each_init(init, |scratch, index| {
        let (band, place) = match order {
            Order::RowsFirst => (index / across, index % across),
            Order::ColumnsFirst => (index % bands.len(), index / bands.len()),
        };
        let column = place * columns;
        let block = Block {
            start: start.get(),
            width,
            rows: bands[band].clone(),
            columns: column..(column + columns).min(width),
            matrix: PhantomData,
        };
        body(scratch, block);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_disjoint_and_cover_a_matrix_of_any_shape() {
        for (height, width) in [(0, 3), (1, 1), (5, 7), (9, 16), (17, 3)] {
            let mut matrix = vec![0.0f32; height * width];
            for_each_block(
                &mut matrix,
                width,
                4,
                5,
                Order::ColumnsFirst,
                || (),
                |(), mut block| {
                    let columns = block.columns();
                    for row in block.rows() {
                        for (place, value) in columns.clone().zip(block.row(row)) {
                            *value += (1 + row * width + place) as f32;
                        }
                    }
                },
            );
            let expected: Vec<f32> = (1..=height * width).map(|place| place as f32).collect();
            assert_eq!(matrix, expected, "{height} × {width}");
        }
    }

    #[test]
    #[should_panic(expected = "self.rows.contains(&row)")]
    fn a_row_of_another_block_is_out_of_reach() {
        for_each_block(
            &mut [0.0; 12],
            2,
            3,
            2,
            Order::RowsFirst,
            || (),
            |(), mut block| {
                let row = block.rows().end;
                block.row(row)[0] = 1.0;
            },
        );
    }

    #[test]
    fn bands_of_any_height_are_cut_across() {
        let mut matrix = vec![0.0f32; 7 * 5];
        for_each_of_bands(
            &mut matrix,
            5,
            &[0..1, 1..1, 3..7],
            2,
            Order::RowsFirst,
            || 1.0,
            |one, mut block| {
                for row in block.rows() {
                    block.row(row).iter_mut().for_each(|value| *value += *one);
                }
            },
        );
        for (row, values) in matrix.chunks_exact(5).enumerate() {
            assert_eq!(values, [if row == 1 || row == 2 { 0.0 } else { 1.0 }; 5], "{row}");
        }
    }

    #[test]
    #[should_panic(expected = "bands of this matrix that do not overlap")]
    fn bands_that_overlap_are_refused() {
        for_each_of_bands(&mut [0.0; 12], 2, &[0..3, 2..4], 2, Order::RowsFirst, || (), |(), _| {});
    }
}

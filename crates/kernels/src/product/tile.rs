//! Tiles: the rows that are multiplied at once, and their sums.

use std::ops::Range;

use crate::lane::{Lane, STRIP};

/// Most rows of a tile: what is multiplied at once with four panels (AVX-512) or one (AVX2). Its sums fill 24 of 32
/// vector registers, or 12 of 16; the others hold what is multiplied.
pub(crate) const TILE_ROWS: usize = 6;

/// The sums of one row with a strip, as bits: f32, and i32 in [`Format::Int8`].
pub(crate) type Sums = [Lane; STRIP];

/// Tiles of about equal size that `rows` fall into: a tile of one row takes nearly as long as one of three.
pub(super) fn tiles(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(TILE_ROWS);
    (0..count).map(move |number| rows * number / count..rows * (number + 1) / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_all_rows_and_none_is_too_large() {
        for rows in 0..100 {
            let mut end = 0;
            for tile in tiles(rows) {
                assert!(tile.start == end && (1..=TILE_ROWS).contains(&tile.len()), "{rows}: {tile:?}");
                end = tile.end;
            }
            assert_eq!(end, rows);
        }
    }
}

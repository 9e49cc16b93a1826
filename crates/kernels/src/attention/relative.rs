//! Scores by the distance of a key from a query: DeBERTa's disentangled attention.
//!
//! Source: He et al., DeBERTa (2021), section 3.1: a query meets the key of its distance from a token (content to position),
//! and a token's key the query of that distance (position to content).

use std::ops::Range;

use super::head::{Head, KEY, columns, left_times_strips, product};
use crate::{format::Format, panels::Panels, product::COLUMNS, rows::Rows};

/// Keys and queries of relative positions, laid out once for a layer.
#[derive(Debug)]
pub struct Relative {
    keys: Vec<Panels>,    // of each head, (head, rows); none without content to position
    queries: Vec<Panels>, // of each head, (head, rows); none without position to content
    buckets: Vec<u32>,    // (2 · longest − 1): the row for each distance, from 1 − longest on
}

impl Relative {
    /// For an encoder that computes in `format`, from (rows, heads · head) of either kind. `buckets` has the row for each
    /// distance of a query from a key, from 1 − the longest sentence's length on, and never less for a greater distance.
    pub fn new(format: Format, heads: usize, keys: Option<&[f32]>, queries: Option<&[f32]>, buckets: Vec<u32>) -> Self {
        let format = product(format);
        let rows = buckets.iter().max().map_or(0, |last| *last as usize + 1);
        let of_heads = |matrix: Option<&[f32]>| {
            let Some(matrix) = matrix else { return Vec::new() };
            let width = matrix.len() / rows.max(1);
            assert!(matrix.len() >= rows * heads && matrix.len() % heads == 0, "(rows, heads · head)");
            let head = |index: usize| {
                let mut panels = Panels::new(format);
                let head = width / heads;
                columns(&mut panels, format, head, matrix.chunks_exact(width).map(|row| &row[index * head..][..head]));
                panels
            };
            (0..heads).map(head).collect()
        };
        Self { keys: of_heads(keys), queries: of_heads(queries), buckets }
    }

    /// How many products a score has beside that of query and key.
    #[inline(always)]
    pub(super) fn products(&self) -> usize {
        usize::from(!self.keys.is_empty()) + usize::from(!self.queries.is_empty())
    }

    /// The rows for distances within `length` tokens, by distance from 1 − length on.
    #[inline(always)]
    fn rows(&self, length: usize) -> &[u32] {
        let beyond = self.buckets.len().div_ceil(2).checked_sub(length).expect("no sentence longer than the longest");
        &self.buckets[beyond..self.buckets.len() - beyond]
    }
}

/// The strips of panels with these rows.
#[inline(always)]
fn strips(rows: &[u32]) -> Range<usize> {
    let [first, last] = [rows.first(), rows.last()].map(|row| row.map_or(0, |row| *row as usize));
    first / COLUMNS..last / COLUMNS + 1
}

/// What one thread works with.
pub(super) struct RelativeScratch {
    rows: Rows,           // (length, head): keys of tokens
    of_keys: Vec<f32>,    // (length, columns): tokens' keys with the queries of positions
    of_queries: Vec<f32>, // (queries, columns): tokens' queries with the keys of positions
}

impl RelativeScratch {
    pub(super) fn new(format: Format) -> Self {
        Self { rows: Rows::new(format, 0), of_keys: Vec::new(), of_queries: Vec::new() }
    }

    /// The products of a sentence's keys with the queries of positions.
    #[inline(always)]
    pub(super) fn meet_keys(&mut self, relative: &Relative, part: &Head) {
        let Some(queries) = relative.queries.get(part.index) else { return };
        self.rows.reset(part.sentence.len(), part.head);
        for (index, token) in part.sentence.clone().enumerate() {
            self.rows.encode_row(index, part.row(token, KEY));
        }
        multiply(&self.rows, queries, relative.rows(part.sentence.len()), &mut self.of_keys);
    }

    /// The products of some queries, scaled as they are, with the keys of positions.
    #[inline(always)]
    pub(super) fn meet_queries(&mut self, relative: &Relative, part: &Head, queries: &Rows) {
        let Some(keys) = relative.keys.get(part.index) else { return };
        multiply(queries, keys, relative.rows(part.sentence.len()), &mut self.of_queries);
    }

    /// Adds to the scores of the query that is number `index` of those that met.
    #[inline(always)]
    pub(super) fn add(
        &self,
        relative: &Relative,
        part: &Head,
        [index, query]: [usize; 2],
        keys: Range<usize>,
        scale: f32,
        scores: &mut [f32],
    ) {
        let length = part.sentence.len();
        let rows = relative.rows(length);
        let strips = strips(rows);
        let (first, width) = (strips.start * COLUMNS, strips.len() * COLUMNS);
        let of_query = self.of_queries.get(index * width..(index + 1) * width);
        for (score, key) in scores.iter_mut().zip(keys) {
            let column = rows[query + length - 1 - key] as usize - first;
            if let Some(of_query) = of_query.filter(|_| !relative.keys.is_empty()) {
                *score += of_query[column];
            }
            if !relative.queries.is_empty() {
                *score += scale * self.of_keys[(key - part.sentence.start) * width + column];
            }
        }
    }
}

/// (tokens, head) with the columns of these rows: (tokens, columns).
#[inline(always)]
fn multiply(left: &Rows, right: &Panels, rows: &[u32], out: &mut Vec<f32>) {
    let strips = strips(rows);
    let (first, width) = (strips.start * COLUMNS, strips.len() * COLUMNS);
    out.resize(left.tokens() * width, 0.0);
    left_times_strips(
        left,
        right,
        strips,
        0..right.groups(),
        right.columns(),
        #[inline(always)]
        |row, columns, sums| {
            out[row * width..][columns.start - first..columns.end - first].copy_from_slice(sums);
        },
    );
}

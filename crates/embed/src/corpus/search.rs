//! The best rows of a corpus for a query.

use std::{cmp::Reverse, collections::BinaryHeap};

use kernels::scan;
use rayon::prelude::*;

use super::{Corpus, Filter};

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Its place within the corpus.
    pub row: usize,
    /// Its cosine with the query.
    pub cosine: f32,
}

/// Rows that one thread scans at a time: handing them out costs nothing, and their scores stay in its cache.
const BLOCK: usize = 2048;

/// Scores are ordered so that of equal ones the earlier row is better.
#[derive(Clone, Copy, PartialEq)]
struct Candidate(f32, Reverse<usize>);

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

/// The `most` best candidates seen so far.
struct Best {
    most: usize,
    worst_first: BinaryHeap<Reverse<Candidate>>,
}

impl Best {
    fn new(most: usize) -> Self {
        Self { most, worst_first: BinaryHeap::with_capacity(most + 1) }
    }

    /// What a candidate has to reach.
    fn bar(&self) -> f32 {
        match self.worst_first.peek() {
            Some(Reverse(worst)) if self.worst_first.len() == self.most => worst.0,
            _ => f32::NEG_INFINITY,
        }
    }

    fn add(&mut self, candidate: Candidate) {
        self.worst_first.push(Reverse(candidate));
        if self.worst_first.len() > self.most {
            self.worst_first.pop();
        }
    }

    fn merge(mut self, other: Self) -> Self {
        other.worst_first.into_iter().for_each(|Reverse(candidate)| self.add(candidate));
        self
    }

    fn into_hits(self) -> Vec<Hit> {
        let best_first = self.worst_first.into_sorted_vec();
        best_first.into_iter().map(|Reverse(Candidate(cosine, Reverse(row)))| Hit { row, cosine }).collect()
    }
}

impl Corpus {
    /// The `most` rows nearest to `query` by cosine among those that pass the filter, best first: exactly these, whatever
    /// format is scanned.
    ///
    /// # Panics
    /// If `query` does not have the corpus's dimensions.
    pub fn search(&self, query: &[f32], most: usize, filter: &Filter) -> Vec<Hit> {
        let (width, rows) = (self.settings.dimensions, self.contents.rows);
        assert_eq!(query.len(), width, "a query of {width} numbers");
        let (most, vectors) = (most.min(rows), self.vectors.numbers());
        let length = query.iter().map(|x| x * x).sum::<f32>().sqrt();
        let query: Vec<f32> = query.iter().map(|x| x / length.max(f32::MIN_POSITIVE)).collect();
        if most == 0 {
            return Vec::new();
        }
        let mask = filter.mask(&self.batches);
        let passes = |row: usize| mask.as_ref().is_none_or(|mask| mask[row]);
        let (scanned, error) = self.scanned.query(&query, self.contents.error);
        let mut scores = vec![0.0f32; rows];
        let blocks = scores.par_chunks_mut(BLOCK).enumerate();
        let near = blocks.fold(
            || Best::new(most),
            |mut best, (block, scores)| {
                let start = block * BLOCK;
                self.scanned.scan(vectors, start, width, &scanned, scores);
                for (offset, &score) in scores.iter().enumerate() {
                    // Of equal ones within a block the earlier comes first; a later block's may be the earlier.
                    if score >= best.bar() && passes(start + offset) {
                        best.add(Candidate(score, Reverse(start + offset)));
                    }
                }
                best
            },
        );
        let near = near.reduce(|| Best::new(most), Best::merge);
        if error == 0.0 {
            return near.into_hits();
        }
        // Whoever is among the best is no further below the last of them than both scores may be off.
        let bar = near.bar() - 2.0 * error;
        let blocks = scores.par_chunks(BLOCK).enumerate();
        let exact = blocks.fold(
            || Best::new(most),
            |mut best, (block, scores)| {
                for (offset, &score) in scores.iter().enumerate() {
                    let row = block * BLOCK + offset;
                    if score >= bar && passes(row) {
                        let mut cosine = [0.0];
                        scan(&vectors[row * width..][..width], &query, &mut cosine);
                        best.add(Candidate(cosine[0], Reverse(row)));
                    }
                }
                best
            },
        );
        exact.reduce(|| Best::new(most), Best::merge).into_hits()
    }
}

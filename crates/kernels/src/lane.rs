//! The unit in which the right side of a product is laid out, and how far apart the rows of its left side are.

use std::ops::Range;

/// Columns of a panel: a vector register's worth in AVX-512, two in AVX2.
pub(crate) const PANEL: usize = 16;

/// Panels of a strip, the columns that one thread multiplies with a block of rows.
pub(crate) const STRIP: usize = 4;

/// One group of each column of a panel, aligned so that a load touches one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Lane(pub(crate) [u32; PANEL]);

/// [`STRIP`] panels, or the same part of each.
#[derive(Clone, Copy)]
pub(crate) struct Strip<'a> {
    lanes: &'a [Lane],
    groups: usize, // of each panel
    apart: usize,  // from a panel to the next
}

impl<'a> Strip<'a> {
    /// Panels of `groups` that follow one another.
    pub(crate) fn new(lanes: &'a [Lane], groups: usize) -> Self {
        assert_eq!(lanes.len(), STRIP * groups, "whole panels");
        Self { lanes, groups, apart: groups }
    }

    /// The same groups of all panels.
    pub(crate) fn part(self, groups: Range<usize>) -> Self {
        assert!(groups.end <= self.groups);
        let end = groups.start + (STRIP - 1) * self.apart + groups.len();
        Self { lanes: &self.lanes[groups.start..end], groups: groups.len(), apart: self.apart }
    }

    pub(crate) fn panel(self, index: usize) -> &'a [Lane] {
        &self.lanes[index * self.apart..][..self.groups]
    }

    pub(crate) fn groups(self) -> usize {
        self.groups
    }
}

/// Groups in a cache line, and in what two rows are apart within it.
pub(crate) const LINE: usize = 16;
pub(crate) const BANK: usize = 2;

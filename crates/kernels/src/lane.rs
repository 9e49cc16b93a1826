//! The unit in which the right side of a product is laid out, and how far apart the rows of its left side are.

/// Columns of a panel: a vector register's worth in AVX-512, two in AVX2.
pub(crate) const PANEL: usize = 16;

/// Panels of a strip, the columns that one thread multiplies with a block of rows.
pub(crate) const STRIP: usize = 4;

/// One group of each column of a panel, aligned so that a load touches one cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct Lane(pub(crate) [u32; PANEL]);

/// [`STRIP`] panels that follow one another.
#[derive(Clone, Copy)]
pub(crate) struct Strip<'a> {
    pub(crate) lanes: &'a [Lane], // (STRIP, groups)
    pub(crate) groups: usize,
}

impl<'a> Strip<'a> {
    pub(crate) fn panel(self, index: usize) -> &'a [Lane] {
        &self.lanes[index * self.groups..][..self.groups]
    }
}

/// Groups in a cache line, and in what two rows are apart within it.
pub(crate) const LINE: usize = 16;
pub(crate) const BANK: usize = 2;

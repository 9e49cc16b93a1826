//! A file of numbers, mapped into memory.

use std::{fs::File, marker::PhantomData, path::Path};

use anyhow::{Context, ensure};
use bytemuck::Pod;
use memmap2::{Advice, Mmap};

use super::index::DAMAGED;

/// Numbers that lie in a file as in memory.
#[derive(Debug)]
pub(super) struct Mapped<T> {
    bytes: Mmap,
    numbers: PhantomData<T>,
}

/// Maps a whole file.
pub(super) fn map(path: &Path) -> anyhow::Result<Mmap> {
    let open = || -> std::io::Result<Mmap> {
        let file = File::open(path)?;
        // SAFETY: an index's files are never written again: a new index is made beside them and takes their name. Whoever
        // cuts one short by other means ends the process by a signal, as with any mapped file.
        #[allow(unsafe_code)]
        let bytes = unsafe { Mmap::map(&file)? };
        Ok(bytes)
    };
    open().with_context(|| format!("{}: {DAMAGED}", path.display()))
}

impl<T: Pod> Mapped<T> {
    /// Opens a file that has to hold `count` numbers.
    pub(super) fn open(path: &Path, count: usize) -> anyhow::Result<Self> {
        let bytes = map(path)?;
        let expected = count * size_of::<T>();
        ensure!(bytes.len() == expected, "{}: {} bytes, expected {expected}; {DAMAGED}", path.display(), bytes.len());
        Ok(Self { bytes, numbers: PhantomData })
    }

    /// Has the file read into memory ahead of its use.
    pub(super) fn fetch(&self) {
        let _ = self.bytes.advise(Advice::WillNeed); // a hint: without it the first searches are slower
    }

    pub(super) fn numbers(&self) -> &[T] {
        // A map begins at a page, which is aligned for any number.
        bytemuck::cast_slice(&self.bytes)
    }
}

//! A file of numbers, mapped into memory.

use std::{fs::File, marker::PhantomData, path::Path};

use anyhow::{Context, ensure};
use bytemuck::Pod;
use memmap2::{Advice, Mmap};

/// What to do about an index that is not as it was written.
pub(super) const DAMAGED: &str = "damaged: remove the index's folder, and it is made anew";

/// Numbers that lie in a file as in memory.
#[derive(Debug)]
pub(super) struct Mapped<T> {
    bytes: Mmap,
    numbers: PhantomData<T>,
}

/// Maps a whole file, which has to have `expected` bytes.
pub(super) fn map(path: &Path, expected: u64) -> anyhow::Result<Mmap> {
    let open = || -> std::io::Result<Mmap> {
        let file = File::open(path)?;
        // SAFETY: an index's files are never written again: a new index is another folder. Whoever cuts one short by other
        // means ends the process by a signal, as with any mapped file.
        #[allow(unsafe_code)]
        let bytes = unsafe { Mmap::map(&file)? };
        Ok(bytes)
    };
    let bytes = open().with_context(|| format!("{}: {DAMAGED}", path.display()))?;
    let found = bytes.len() as u64;
    ensure!(found == expected, "{}: {found} bytes, expected {expected}; {DAMAGED}", path.display());
    Ok(bytes)
}

impl<T: Pod> Mapped<T> {
    /// Opens a file that has to hold `count` numbers.
    pub(super) fn open(path: &Path, count: usize) -> anyhow::Result<Self> {
        Ok(Self { bytes: map(path, (count * size_of::<T>()) as u64)?, numbers: PhantomData })
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

//! Where the bytes of a table are: a file or memory, read from any place as often as needed.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use bytes::Bytes;

/// The bytes of a table. Clones share them, and each reader has a position of its own.
#[derive(Clone, Debug)]
pub struct Source {
    content: Content,
    bytes: u64,
}

#[derive(Clone, Debug)]
enum Content {
    File(Arc<File>),
    Memory(Bytes),
}

impl Source {
    /// The file at `path`. What can be read once only, such as a pipe, is kept in a temporary file.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if file.metadata()?.is_file() {
            return Self::file(file);
        }
        let mut copy = tempfile::tempfile()?;
        io::copy(&mut file, &mut copy)?;
        Self::file(copy)
    }

    /// A file that is open, from its beginning.
    ///
    /// # Errors
    /// Where its size cannot be told.
    pub fn file(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self { content: Content::File(Arc::new(file)), bytes })
    }

    /// Bytes in memory.
    pub fn memory(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { bytes: bytes.len() as u64, content: Content::Memory(bytes) }
    }

    /// What was written to a temporary file.
    ///
    /// # Errors
    /// Where it cannot be brought to the disk.
    pub fn spooled(mut file: tempfile::SpooledTempFile) -> io::Result<Self> {
        file.flush()?;
        match file.into_inner() {
            tempfile::SpooledData::InMemory(bytes) => Ok(Self::memory(bytes.into_inner())),
            tempfile::SpooledData::OnDisk(file) => Self::file(file),
        }
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads from a place on; returns the number of bytes, fewer than asked for only at the end.
    pub(crate) fn read_at(&self, place: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        while length < buffer.len() {
            let (rest, place) = (&mut buffer[length..], place + length as u64);
            let count = match &self.content {
                Content::File(file) => match file.read_at(rest, place) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    count => count?,
                },
                Content::Memory(bytes) => {
                    let start = usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
                    let count = rest.len().min(bytes.len() - start);
                    rest[..count].copy_from_slice(&bytes[start..start + count]);
                    count
                }
            };
            if count == 0 {
                break;
            }
            length += count;
        }
        Ok(length)
    }

    pub(crate) fn reader(&self, place: u64) -> Reader {
        Reader { source: self.clone(), place }
    }

    /// Some bytes of it; none where it has not as many from there on.
    pub(crate) fn slice(&self, start: u64, length: usize) -> io::Result<Option<Bytes>> {
        // Compared first, so that a footer cannot ask for memory that no file of this size fills.
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Ok(None);
        }
        if let Content::Memory(bytes) = &self.content {
            return Ok(Some(bytes.slice(start as usize..start as usize + length)));
        }
        let mut buffer = vec![0; length];
        let count = self.read_at(start, &mut buffer)?;
        Ok((count == length).then(|| buffer.into()))
    }
}

/// Bytes of a table that were read, which others look at meanwhile.
pub type Progress = Arc<AtomicU64>;

/// Reads a source from a place on.
#[derive(Debug)]
pub(crate) struct Reader {
    source: Source,
    place: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read_at(self.place, buffer)?;
        self.place += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(offset) => self.source.bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.place.checked_add_signed(offset),
        };
        self.place = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.place)
    }
}

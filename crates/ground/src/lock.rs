//! A folder that one process works on at a time.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
};

use crate::error::Error;

const NAME: &str = ".lock";

/// The right to work on a folder, until it is dropped or its process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Name of the file in the folder that carries it.
    pub const NAME: &str = NAME;

    /// Takes a folder, which is made if it is not there.
    ///
    /// # Errors
    /// Where another process has it, or the folder cannot be written.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::io(folder, "make the directory"))?;
        let path = folder.join(NAME);
        let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path);
        loop {
            let mut file = open().map_err(Error::io(&path, "write the file"))?;
            if !try_lock(&file) {
                let mut owner = String::new();
                let _ = file.read_to_string(&mut owner);
                return Err(Error::Busy { path: folder.to_owned(), owner: owner.trim().to_owned() });
            }
            // Whoever had it before may have removed the file between the two.
            if !is_at(&file, &path) {
                continue;
            }
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let told = file.set_len(0).and_then(|()| file.rewind());
            let told = told.and_then(|()| writeln!(file, "process {} on {host}", process::id()));
            told.map_err(Error::io(&path, "write the file"))?;
            return Ok(Self { path, _file: file });
        }
    }
}

impl Drop for Lock {
    /// Leaves the folder as if it had not been taken: one that has nothing else in it goes too.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        if let Some(folder) = self.path.parent() {
            let _ = fs::remove_dir(folder); // fails where there is something
        }
    }
}

/// Locks a file or directory for as long as it is open; true too where the file system has no locks.
pub(crate) fn try_lock(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Whether an open file or directory is the one that stands under a path.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let same = || -> io::Result<bool> {
        let (own, there) = (file.metadata()?, fs::symlink_metadata(path)?);
        Ok((own.dev(), own.ino()) == (there.dev(), there.ino()))
    };
    same().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_processes_until_it_lets_go() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("run");
        let lock = Lock::take(&folder).unwrap();
        let message = Lock::take(&folder).unwrap_err().to_string();
        assert!(
            message.contains("another process works on it") && message.contains(&process::id().to_string()),
            "{message}"
        );
        drop(lock);
        assert!(!folder.exists(), "nothing was in it");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("kept"), "").unwrap();
        drop(Lock::take(&folder).unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "process 1 on nowhere").unwrap();
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn of_many_that_take_a_folder_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        fs::write(&kept, "").unwrap();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let Ok(_lock) = Lock::take(folder.path()) else { continue };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
    }
}

//! Directories that appear under their name whole or not at all.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use crate::{
    error::Error,
    lock::{is_at, try_lock},
};

/// Fills a new directory by `write`, brings all of it to the disk and puts it in the place of `target`. On any error
/// `target` stays as it was, and nothing else is left behind.
///
/// # Errors
/// Those of `write`, and where the system refuses.
pub fn replace_dir<E: From<Error>>(target: &Path, write: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(Error::io(parent, "make the directory"))?;
    let temporary = Temporary::new(target)?;
    write(&temporary.path)?;
    sync_tree(&temporary.path)?;
    if target.exists() {
        if !target.is_dir() {
            return Err(Error::NotADirectory { path: target.to_owned() }.into());
        }
        exchange(&temporary.path, target)?;
    } else {
        fs::rename(&temporary.path, target).map_err(in_place(target))?;
    }
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(in_place(parent))?;
    Ok(())
}

/// Puts `new` under the name `target` and what stood there under the name `new`, in one step, so that at every moment one
/// of the two is there. Where the file system cannot do that (NFS, say), it takes two.
fn exchange(new: &Path, target: &Path) -> Result<(), Error> {
    match renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            let old = Temporary::new(new)?;
            let two_steps = fs::remove_dir(&old.path).and_then(|()| fs::rename(target, &old.path)).and_then(|()| {
                fs::rename(new, target).inspect_err(|_| drop(fs::rename(&old.path, target))) // back to what was
            });
            two_steps.map_err(in_place(target))
        }
        Err(error) => Err(in_place(target)(error.into())),
    }
}

/// Brings back what a process had put aside that was killed while it replaced `target` in two steps.
///
/// # Errors
/// Where the system refuses.
pub fn recover(target: &Path) -> Result<(), Error> {
    let aside = temporary_path(&temporary_path(target));
    if !target.exists() && aside.exists() {
        fs::rename(&aside, target).map_err(in_place(target))?;
    }
    Ok(())
}

fn temporary_path(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    target.with_file_name(name)
}

/// An empty directory of this process's own, which is removed when dropped, unless it was renamed.
struct Temporary {
    path: PathBuf,
    handle: File, // locked
}

impl Temporary {
    /// A directory beside `target`, in the place of what a process left there that was killed.
    fn new(target: &Path) -> Result<Self, Error> {
        let path = temporary_path(target);
        loop {
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::io(&path, "make the directory")(error));
                }
                _ => {}
            }
            let handle = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // its writer was faster
                handle => handle.map_err(Error::io(&path, "open the directory"))?,
            };
            if !try_lock(&handle) {
                return Err(Error::Busy { path: target.to_owned(), owner: String::new() });
            }
            if is_at(&handle, &path) {
                empty(&path)?;
                return Ok(Self { path, handle });
            }
        }
    }
}

/// Removes what is in a directory.
fn empty(dir: &Path) -> Result<(), Error> {
    let failed = || Error::io(dir, "empty the directory");
    for entry in fs::read_dir(dir).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let is_dir = entry.file_type().map_err(failed())?.is_dir();
        let removed = if is_dir { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        removed.map_err(failed())?;
    }
    Ok(())
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Another directory stands there once this one was exchanged for it: it goes if nobody has taken it meanwhile.
        let Ok(there) = File::open(&self.path) else { return };
        if (is_at(&self.handle, &self.path) || try_lock(&there)) && is_at(&there, &self.path) {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn in_place(path: &Path) -> impl FnOnce(io::Error) -> Error {
    Error::io(path, "put the directory in place")
}

fn synced(path: &Path) -> impl FnOnce(io::Error) -> Error {
    Error::io(path, "bring it to the disk")
}

/// Brings every file and directory below `dir` to the disk.
fn sync_tree(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(synced(dir))? {
        let path = entry.map_err(synced(dir))?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path).and_then(|file| file.sync_all()).map_err(synced(&path))?;
        }
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(synced(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_previous_directory_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("best");
        let first = |dir: &Path| fs::write(dir.join("a"), "1").map_err(Error::io(dir, "write"));
        replace_dir(&target, first).unwrap();
        let second = |dir: &Path| {
            fs::write(dir.join("a"), "2").map_err(Error::io(dir, "write"))?;
            Err(Error::io(dir, "write")(io::ErrorKind::StorageFull.into()))
        };
        replace_dir(&target, second).unwrap_err();
        assert_eq!(fs::read_to_string(target.join("a")).unwrap(), "1");
        assert_eq!(names(folder.path()), ["best"]);
    }

    #[test]
    fn a_living_writers_directory_is_left_alone_and_a_dead_ones_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("best");
        replace_dir(&target, |dir| {
            let second = replace_dir(&target, |_: &Path| Ok::<_, Error>(()));
            assert!(matches!(second, Err(Error::Busy { .. })), "{second:?}");
            fs::write(dir.join("a"), "1").map_err(Error::io(dir, "write"))
        })
        .unwrap();
        assert_eq!(names(&target), ["a"]);
        fs::create_dir_all(folder.path().join("best.tmp/deep")).unwrap();
        replace_dir(&target, |dir| fs::write(dir.join("b"), "2").map_err(Error::io(dir, "write"))).unwrap();
        assert_eq!((names(&target), names(folder.path())), (vec!["b".to_owned()], vec!["best".to_owned()]));
    }

    #[test]
    fn a_replaced_directory_holds_only_the_new_files() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("best");
        for name in ["a", "b"] {
            replace_dir(&target, |dir| fs::write(dir.join(name), name).map_err(Error::io(dir, "write"))).unwrap();
        }
        assert_eq!(names(&target), ["b"]);
        assert_eq!(names(folder.path()), ["best"]);
    }
}

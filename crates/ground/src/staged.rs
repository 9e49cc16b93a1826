//! Whole files or none: content goes to a temporary file in the same folder, which is synced and then renamed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::error::Error;

/// A file under way; dropped before `commit`, it leaves nothing behind.
pub struct Staged {
    file: File,
    /// Where it lies meanwhile; `None` for a file that has no name yet, and so goes with its process even if that is
    /// killed.
    temporary: Option<TempPath>,
    target: PathBuf,
}

impl Staged {
    /// Starts a file that is to become `target`; folders that are missing are made. Errors name the target.
    pub fn create(target: &Path) -> Result<Staged, Error> {
        let failed = |action, cause| Error::Io { path: target.to_owned(), action, cause };
        if target.is_dir() {
            return Err(failed("write the file", io::ErrorKind::IsADirectory.into()));
        }
        let folder = folder_of(target);
        fs::create_dir_all(folder).map_err(|cause| failed("make its folder", cause))?;
        let target = target.to_owned();
        if let Some(file) = nameless(folder) {
            return Ok(Staged { file, temporary: None, target });
        }
        // The library's own way to open would make a private file, and name it in its errors.
        let open = |path: &Path| File::options().write(true).create_new(true).open(path);
        let (file, temporary) = temporary(folder, open).map_err(|cause| failed("write the file", cause))?.into_parts();
        Ok(Staged { file, temporary: Some(temporary), target })
    }

    /// The name that the file is going to have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The file to write to.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// An error that names the target, not the temporary file.
    pub fn failed(&self, cause: io::Error) -> Error {
        Error::Io { path: self.target.clone(), action: "write the file", cause }
    }

    /// Puts the file in its place; one that is there already is replaced only with `overwrite`.
    pub fn commit(self, overwrite: bool) -> Result<(), Error> {
        self.file.sync_all().map_err(|cause| self.failed(cause))?;
        let Staged { file, temporary: path, target } = self;
        let in_place = |cause| Error::Io { path: target.clone(), action: "put the file in place", cause };
        // Only a file with a name can take the place of another.
        let link = |path: &Path| link(&file, path);
        let temporary = path.map_or_else(|| Ok(temporary(folder_of(&target), link)?.into_temp_path()), Ok);
        let temporary = temporary.map_err(in_place)?;
        let persisted = if overwrite { temporary.persist(&target) } else { temporary.persist_noclobber(&target) };
        persisted.map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists { path: target.clone() },
            _ => in_place(error.error),
        })?;
        // The rename itself lasts once the folder is synced; a file system that cannot do that is no reason to fail.
        if let Ok(folder) = File::open(folder_of(&target)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

/// A name in `folder` that no other file has, for what `make` puts there.
fn temporary<T>(folder: &Path, make: impl FnMut(&Path) -> io::Result<T>) -> io::Result<NamedTempFile<T>> {
    tempfile::Builder::new().prefix(".incomplete-").make_in(folder, make)
}

/// A file in `folder` without a name, where the file system has such.
#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).ok()?; // less the umask
    Path::new(DESCRIPTORS).exists().then(|| file.into())
}

#[cfg(target_os = "linux")]
const DESCRIPTORS: &str = "/proc/self/fd";

/// Gives a nameless file its name.
#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    use std::os::fd::AsRawFd;
    let descriptor = format!("{DESCRIPTORS}/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, descriptor, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn nameless(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new/x.txt");
        let mut staged = Staged::create(&target).unwrap();
        staged.file().write_all(b"half").unwrap();
        assert!(!target.exists());
        // Not even now, for who is killed while the file is under way.
        assert!(cfg!(not(target_os = "linux")) || names(&folder.path().join("new")).is_empty());
        drop(staged);
        assert!(names(&folder.path().join("new")).is_empty());

        let mut staged = Staged::create(&target).unwrap();
        staged.file().write_all(b"whole").unwrap();
        staged.commit(false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
        assert_eq!(names(&folder.path().join("new")), ["x.txt"]);
    }

    #[test]
    fn an_existing_file_is_replaced_only_on_demand() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("x.txt");
        fs::write(&target, "old").unwrap();
        let refused = Staged::create(&target).unwrap().commit(false);
        assert!(matches!(refused, Err(Error::Exists { .. })));
        assert_eq!(fs::read(&target).unwrap(), b"old");
        Staged::create(&target).unwrap().commit(true).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"");
        assert_eq!(names(folder.path()), ["x.txt"]);
    }

    #[cfg(target_os = "linux")] // whose words these are
    #[test]
    fn a_target_that_cannot_be_written_is_named_as_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for (target, expected) in [
            (folder.path().to_owned(), "cannot write the file: is a directory"),
            (folder.path().join("file/x.txt"), "cannot make its folder: File exists (os error 17)"),
            ("/proc/x.txt".into(), "cannot write the file: No such file or directory (os error 2)"),
        ] {
            let message = Staged::create(&target).map(|_| ()).unwrap_err().to_string();
            assert_eq!(message, format!("{}: {expected}", target.display()));
        }
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_the_umask_lets_them() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        Staged::create(&folder.path().join("ours")).unwrap().commit(false).unwrap();
        fs::write(folder.path().join("ordinary"), "").unwrap();
        assert_eq!(mode("ours"), mode("ordinary"));
    }
}

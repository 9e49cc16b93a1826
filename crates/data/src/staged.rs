//! Whole files or none: content goes to a temporary file in the same folder, which is synced and then renamed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::Error;

/// A file under way; dropped before `commit`, it leaves nothing behind.
pub struct Staged {
    temporary: NamedTempFile,
    target: PathBuf,
}

impl Staged {
    /// Starts a file that is to become `target`; folders that are missing are made.
    pub fn create(target: &Path) -> Result<Staged, Error> {
        let folder = folder_of(target);
        let failed = |action, cause| Error::Io { path: folder.to_owned(), action, cause };
        fs::create_dir_all(folder).map_err(|cause| failed("make the folder", cause))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".incomplete-");
        // Temporary files are private by default; these become ordinary files, as the umask allows.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temporary = builder.tempfile_in(folder).map_err(|cause| failed("write into the folder", cause))?;
        Ok(Staged { temporary, target: target.to_owned() })
    }

    /// The name that the file is going to have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The file to write to.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// An error that names the target, not the temporary file.
    pub fn failed(&self, cause: io::Error) -> Error {
        Error::Io { path: self.target.clone(), action: "write the file", cause }
    }

    /// Puts the file in its place; one that is there already is replaced only with `overwrite`.
    pub fn commit(self, overwrite: bool) -> Result<(), Error> {
        self.temporary.as_file().sync_all().map_err(|cause| self.failed(cause))?;
        let Staged { temporary, target } = self;
        let persisted = if overwrite { temporary.persist(&target) } else { temporary.persist_noclobber(&target) };
        persisted.map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists { path: target.clone() },
            _ => Error::Io { path: target.clone(), action: "put the file in place", cause: error.error },
        })?;
        // The rename itself lasts once the folder is synced; a file system that cannot do that is no reason to fail.
        if let Ok(folder) = File::open(folder_of(&target)) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
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

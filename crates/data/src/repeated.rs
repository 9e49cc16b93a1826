//! Lists of datasets in which one stands twice.

use std::{collections::HashMap, path::PathBuf};

use crate::{data_dir::DataDir, error::Error, sentences::locate};

/// Refuses a list that names a file twice, by whatever names and paths: its rows would count twice. `key` is where the list
/// is given. What cannot be found is told by whoever reads it.
///
/// # Errors
/// [`Error::Repeated`].
pub fn refuse_repeated(key: &str, specs: &[String], dir: &DataDir) -> Result<(), Error> {
    let mut seen = HashMap::<PathBuf, &String>::new();
    for spec in specs {
        let Some(path) = locate(spec, dir).ok().and_then(|path| path.canonicalize().ok()) else { continue };
        if let Some(first) = seen.insert(path, spec) {
            return Err(Error::Repeated { key: key.to_owned(), first: first.clone(), second: spec.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_by_two_paths_is_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::new(Some(folder.path().to_owned()));
        for name in ["a.csv", "b.csv"] {
            fs::write(folder.path().join(name), "sentence1,sentence2\na,b\n").unwrap();
        }
        let absolute = folder.path().join("a.csv").to_str().unwrap().to_owned();
        let refused = |specs: &[&str]| {
            let specs: Vec<String> = specs.iter().map(|&spec| spec.to_owned()).collect();
            refuse_repeated("data.dev", &specs, &dir).map_err(|error| error.to_string())
        };
        assert_eq!(refused(&["data:a.csv", "data:b.csv", "gone.csv", "gone.csv"]), Ok(()));
        let message = refused(&["data:a.csv", "data:b.csv", &absolute]).unwrap_err();
        assert!(message.starts_with("data.dev names one file twice: \"data:a.csv\" and "), "{message}");
        assert!(refused(&["data:b.csv", "data:./b.csv"]).is_err());
    }
}

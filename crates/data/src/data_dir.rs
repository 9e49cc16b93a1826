//! The data directory: the folder in which datasets are looked up by name.

use std::env;
use std::path::{Path, PathBuf};

/// The folder that holds the named datasets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir {
    root: PathBuf,
}

/// The folder used where neither a flag nor the environment names one; the sample lies in it.
pub(crate) const DEFAULT: &str = "data";

impl DataDir {
    /// The directory that `--data-dir` named, else `$STS_DATA_DIR`, else `data`.
    pub fn new(flag: Option<PathBuf>) -> DataDir {
        let variable = || env::var_os("STS_DATA_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
        DataDir { root: flag.or_else(variable).unwrap_or_else(|| DEFAULT.into()) }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Looks `data:some/path` up in the data directory and returns any other path unchanged.
    pub fn resolve(&self, path: &str) -> PathBuf {
        match path.strip_prefix("data:") {
            Some(inside) => self.root.join(inside),
            None => PathBuf::from(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_data_prefix_leads_into_the_data_directory() {
        let dir = DataDir::new(Some("there".into()));
        assert_eq!(dir.path(), Path::new("there"));
        assert_eq!(dir.resolve("data:klue-roberta/tokenizer.json"), Path::new("there/klue-roberta/tokenizer.json"));
        assert_eq!(dir.resolve("data/tokenizer.json"), Path::new("data/tokenizer.json"));
        assert_eq!(dir.resolve("/somewhere/x.csv"), Path::new("/somewhere/x.csv"));
    }
}

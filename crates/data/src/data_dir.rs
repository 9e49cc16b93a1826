//! Where datasets are found, and how those that have no name are read.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::catalogue;
use crate::reading::Reading;
use crate::scale::Scale;

/// The folder that holds the named datasets, and what is known of the files of others.
#[derive(Debug, Clone, PartialEq)]
pub struct DataDir {
    root: PathBuf,
    reading: Reading,
}

/// How a named dataset is read.
static OF_NAMED: LazyLock<Reading> = LazyLock::new(Reading::default);

/// The folder used where neither a flag nor the environment names one; the sample lies in it.
pub(crate) const DEFAULT: &str = "data";

impl DataDir {
    /// The directory that `--data-dir` named, else `$STS_DATA_DIR`, else `data`.
    pub fn new(flag: Option<PathBuf>) -> DataDir {
        let variable = || env::var_os("STS_DATA_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
        DataDir { root: flag.or_else(variable).unwrap_or_else(|| DEFAULT.into()), reading: Reading::default() }
    }

    /// The same, with what a user says of files that have no name.
    pub fn with_reading(self, reading: Reading) -> DataDir {
        DataDir { reading, ..self }
    }

    /// How the dataset `spec` is read.
    pub(crate) fn reading(&self, spec: &str) -> &Reading {
        if catalogue::is_pairs(spec) { &OF_NAMED } else { &self.reading }
    }

    /// Whether the scores of files that have no name go from elsewhere than 0 to elsewhere than 5.
    pub fn has_scale(&self) -> bool {
        self.reading.scale != Scale::default()
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

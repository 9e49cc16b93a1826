//! The subcommands of the binary: each reads its arguments, calls the library and prints.

pub(crate) mod fetch;
pub(crate) mod overlap;
pub(crate) mod split;
pub(crate) mod stats;

use std::path::PathBuf;

use data::{DataDir, ReadingArguments};

/// Where the named datasets lie.
#[derive(clap::Args)]
pub(crate) struct DataDirArgument {
    /// Folder that holds the named datasets [default: $STS_DATA_DIR, else data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
}

impl DataDirArgument {
    fn resolve(&self) -> DataDir {
        DataDir::new(self.data_dir.clone()).with_reading(self.reading.reading())
    }
}

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

/// A count with a comma between thousands.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_grouped() {
        let texts: Vec<String> = [0, 999, 1000, 11668, 1234567].into_iter().map(grouped).collect();
        assert_eq!(texts, ["0", "999", "1,000", "11,668", "1,234,567"]);
    }
}

//! `data fetch`: the named datasets from their upstream addresses.

use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use data::{DataDir, Fetcher, Outcome, SOURCES, Source};
use indicatif::{ProgressBar, ProgressStyle};

use ground::thousands;

/// Download the named datasets and check that they are the right ones
///
/// KLUE-STS and KorSTS are both under the licence CC BY-SA 4.0. A file that is there already with the right content
/// is kept. A download that fails leaves nothing behind.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Datasets to fetch [default: all]
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(["klue-sts", "kor-sts"]))]
    names: Vec<String>,
    /// Folder to put them in [default: $STS_DATA_DIR, else data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Server to ask instead of https://raw.githubusercontent.com, with the same paths
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Replace files that are there with other content
    #[arg(long)]
    overwrite: bool,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<()> {
    let dir = DataDir::new(arguments.data_dir.clone());
    let fetcher = Fetcher::new(dir.path(), arguments.mirror.as_deref(), arguments.overwrite);
    let wanted =
        |source: &&Source| arguments.names.is_empty() || arguments.names.iter().any(|name| name == source.dataset);
    for source in SOURCES.iter().filter(wanted) {
        let outcome = fetch(&fetcher, source)?;
        let done = match outcome {
            Outcome::Kept => "already there",
            Outcome::Fetched => "fetched",
        };
        writeln!(out, "{}  {} bytes, {done}", fetcher.path(source).display(), thousands(source.bytes as usize))?;
    }
    Ok(())
}

fn fetch(fetcher: &Fetcher, source: &Source) -> Result<Outcome> {
    let bar = if stderr().is_terminal() {
        let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        ProgressBar::new(source.bytes).with_style(ProgressStyle::with_template(style)?).with_message(source.file)
    } else {
        ProgressBar::hidden()
    };
    let mut announced = !bar.is_hidden();
    let outcome = fetcher.fetch(source, |received| {
        if !announced {
            ground::say!("fetching {}", fetcher.url(source));
            announced = true;
        }
        bar.set_position(received);
    });
    bar.finish_and_clear();
    Ok(outcome?)
}

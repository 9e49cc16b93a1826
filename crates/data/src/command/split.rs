//! `data split`: a dataset in two parts with the same distribution of scores.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use data::{Dataset, stratified_split, write_split};

use ground::thousands;

use super::DataDirArgument;

/// Split a dataset into train.csv and dev.csv, stratified by score
///
/// Both parts keep the distribution of scores, copies of a repeated pair stay on one side, and the same seed gives
/// the same rows on every machine.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Dataset to split: a name such as klue-sts:train, or the path of a file
    #[arg(value_name = "SPEC")]
    spec: String,
    /// Share of the rows that goes to dev.csv, above 0 and below 1
    #[arg(long, default_value_t = 0.1, allow_negative_numbers = true)]
    fraction: f64,
    /// Seed of the random draw
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Folder for train.csv and dev.csv
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace train.csv and dev.csv where they exist
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    data_dir: DataDirArgument,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<()> {
    let dataset = Dataset::load(&arguments.spec, &arguments.data_dir.resolve())?;
    dataset.scores()?; // Names the file where it has none.
    let split = stratified_split(&dataset.pairs, arguments.fraction, arguments.seed)?;
    let files = write_split(&dataset, &split, &arguments.out, arguments.overwrite)?;
    for (path, rows) in [(files.train, split.train), (files.dev, split.dev)] {
        writeln!(out, "{}  {} pairs", path.display(), thousands(rows.len()))?;
    }
    Ok(())
}

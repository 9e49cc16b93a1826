//! `data overlap`: whether sentences of test sets stand in what is trained on.

use std::io::Write;

use anyhow::{Result, bail};
use data::{DataDir, Dataset, Exclusion, TextFile, TripletSet};

use ground::thousands;

use super::DataDirArgument;

/// Count the rows of training sets that hold a sentence of test sets; exit with 1 if there is one. Sentences are the same
/// whatever their spacing and final punctuation; in a paragraph those of at least eight letters are looked for. Rows of
/// inferences are their examples and the pairs that are none
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Training sets: scored pairs, klue-nli:{train,dev}, para-kqc:train, or texts (.txt, .txt.zst)
    #[arg(value_name = "TRAIN", required = true)]
    train: Vec<String>,
    /// Test set whose sentences are looked for. May be given several times
    #[arg(long, value_name = "SPEC", required = true)]
    test: Vec<String>,
    /// Sets whose sentences are left out of training, as data.exclude has it; rows with one are not counted
    #[arg(long, value_name = "SPEC")]
    exclude: Vec<String>,
    #[command(flatten)]
    data_dir: DataDirArgument,
}

/// Rows of a training set.
#[derive(Default)]
struct Rows {
    all: usize,
    left_out: usize,
    overlapping: usize,
}

impl Rows {
    fn add(&mut self, is_excluded: bool, overlaps: bool) {
        self.all += 1;
        self.left_out += usize::from(is_excluded);
        self.overlapping += usize::from(overlaps && !is_excluded);
    }
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<()> {
    let dir = arguments.data_dir.resolve();
    let test = Exclusion::load(&arguments.test, &dir)?;
    let exclude = Exclusion::load(&arguments.exclude, &dir)?;
    writeln!(out, "{} different sentences in {}", thousands(test.len()), arguments.test.join(", "))?;
    let mut overlapping = 0;
    for spec in &arguments.train {
        let rows = count(spec, &dir, &test, &exclude)?;
        overlapping += rows.overlapping;
        let [all, left_out, found] = [rows.all, rows.left_out, rows.overlapping].map(thousands);
        writeln!(out, "{spec}: {all} rows, {left_out} left out, {found} hold a sentence of the test sets")?;
        out.flush()?;
    }
    if overlapping > 0 {
        bail!("{} rows of the training sets hold a sentence of the test sets", thousands(overlapping));
    }
    Ok(())
}

fn count(spec: &str, dir: &DataDir, test: &Exclusion, exclude: &Exclusion) -> Result<Rows> {
    let mut rows = Rows::default();
    if TextFile::is_text(&dir.resolve(spec)) {
        for paragraph in TextFile::locate(spec, dir)?.paragraphs()? {
            let paragraph = paragraph?;
            rows.add(exclude.holds(&paragraph), test.holds(&paragraph));
        }
    } else if TripletSet::is_named(spec) {
        let TripletSet { triplets, unmatched, .. } = TripletSet::load(spec, dir, usize::MAX)?;
        for triplet in &triplets {
            rows.add(triplet.holds(exclude), triplet.holds(test));
        }
        // Any of their sentences may be found as a hard negative.
        for pair in &unmatched {
            rows.add(pair.holds(exclude), pair.holds(test));
        }
    } else {
        for pair in &Dataset::load(spec, dir)?.pairs {
            rows.add(pair.holds(exclude), pair.holds(test));
        }
    }
    Ok(rows)
}

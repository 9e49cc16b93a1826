//! `data stats`: the figures of datasets, with a histogram of their scores.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use data::{Dataset, Histogram, Statistics, doubt_of_scale, write_histograms};

use ground::thousands;

use super::DataDirArgument;

/// Show rows, sentence lengths, duplicates and a score histogram
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Datasets to describe: names such as kor-sts:dev, or paths of files
    #[arg(value_name = "SPEC", required = true)]
    specs: Vec<String>,
    #[command(flatten)]
    data_dir: DataDirArgument,
    /// Also draw the score histograms into this SVG file, one panel per dataset
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<()> {
    let dir = arguments.data_dir.resolve();
    let mut described = Vec::new();
    for spec in &arguments.specs {
        let dataset = Dataset::load(spec, &dir)?;
        if dataset.is_labelled() && !dir.has_scale() {
            doubt_of_scale(spec, &dataset.scores()?).iter().for_each(|doubt| ground::say!("warning: {doubt}"));
        }
        if arguments.svg.is_some() {
            ensure!(
                dataset.is_labelled(),
                "{}: no scores to draw, expected a column score or label",
                dataset.path.display()
            );
        }
        let statistics = Statistics::of(&dataset.pairs);
        described.push((dataset, statistics));
    }
    for (place, (dataset, statistics)) in described.iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        print(dataset, statistics, out)?;
    }
    if let Some(path) = &arguments.svg {
        let histograms: Vec<(&str, &Histogram)> = described
            .iter()
            .filter_map(|(dataset, statistics)| Some((dataset.name.as_str(), &statistics.scores.as_ref()?.histogram)))
            .collect();
        write_histograms(path, &histograms)?;
        ground::say!("wrote {}", path.display());
    }
    Ok(())
}

fn print(dataset: &Dataset, statistics: &Statistics, out: &mut impl Write) -> Result<()> {
    let lengths = &statistics.lengths;
    writeln!(out, "{}", dataset.name)?;
    writeln!(out, "  file             {}", dataset.path.display())?;
    if let Some(layout) = &dataset.layout {
        writeln!(out, "  form             {layout}")?;
    }
    writeln!(out, "  pairs            {}", thousands(statistics.rows))?;
    writeln!(out, "  duplicate pairs  {}", thousands(statistics.duplicate_pairs))?;
    writeln!(
        out,
        "  characters       mean {:.1}, median {}, 95th percentile {}, max {} per sentence",
        lengths.mean, lengths.median, lengths.p95, lengths.max
    )?;
    let Some(scores) = &statistics.scores else {
        writeln!(out, "  score            none")?;
        return Ok(());
    };
    writeln!(out, "  score            mean {:.3}, standard deviation {:.3}", scores.mean, scores.std)?;
    print_histogram(&scores.histogram, out)
}

fn print_histogram(histogram: &Histogram, out: &mut impl Write) -> Result<()> {
    const WIDTH: usize = 40;
    let highest = histogram.counts.into_iter().max().unwrap_or(0).max(1);
    for (bin, count) in histogram.counts.into_iter().enumerate() {
        let (lower, upper) = Histogram::bounds(bin);
        let bar = "█".repeat((count * WIDTH).div_ceil(highest));
        let share = 100.0 * count as f64 / histogram.total().max(1) as f64;
        writeln!(out, "  {lower:.1}–{upper:.1} {bar:<WIDTH$} {:>7} {share:>5.1} %", thousands(count))?;
    }
    Ok(())
}

//! The `eval` command: figures of a model on labelled sentence pairs.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use data::{DataDir, PairFile, ReadingArguments, doubt_of_scale};
use eval::{Evaluation, PairScorer, PairScores, Plots, Report, Scored, write_predictions};
use ground::{
    Staged,
    command_line::{self, WrongUse, refuse_beside_cross_encoder},
};
use indicatif::{ProgressBar, ProgressStyle};
use model::{
    BUNDLED_MODEL, CrossEncoder, Options, Pooling, Precision, PrecisionChoice, PromptChoice, SentenceEncoder,
    holds_cross_encoder,
    hub::{self, Hub},
    runtime::{self, DeviceChoice},
};

const LONGEST_NAME: usize = 60; // characters that a dataset's name gives to a file's

/// Evaluate a sentence encoder, or a cross-encoder, which reads two sentences together: Pearson and Spearman correlation with 95 % bootstrap intervals, F1 and mean squared
/// error of 5 · cosine (of a cross-encoder, 5 times its score) against the labels. Where a model asks for another similarity, the correlations are those of it.
#[derive(Parser)]
#[command(name = "eval", version)]
struct Args {
    /// Model directory, in sentence-transformers' or Hugging Face's layout, or a model's id on the Hugging Face hub, as
    /// owner/name or owner/name@revision.
    #[arg(long, value_name = "DIR_OR_HUB_ID", default_value = BUNDLED_MODEL)]
    model: PathBuf,
    /// Dataset: klue-sts:{train,dev}, kor-sts:{train,dev,test}, sample:{train,dev,test}, or a table (CSV, TSV,
    /// JSON, Parquet, .xlsx; UTF-8, UTF-16 or CP949) with the columns sentence1, sentence2 and score or label. A file
    /// without labels is scored all the same. May be given several times; the figures are then those of each, and of all that have labels merged.
    #[arg(long, value_name = "SPEC", required = true)]
    data: Vec<String>,
    /// Folder of the named datasets [default: $STS_DATA_DIR, else data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
    /// Number format of the encoder's layers: f32, bf16, int8 on a processor, or auto for the fastest that ranks like f32.
    #[arg(long, default_value_t = PrecisionChoice::Only(Precision::F32))]
    precision: PrecisionChoice,
    /// Tokens per sentence, special tokens included [default: the model's own].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    max_seq_length: Option<u32>,
    /// From token embeddings to a sentence's, of a model directory that has none of its own (no modules.json): mean, cls, max,
    /// mean_sqrt_len, weightedmean, lasttoken, or several joined by + [default: mean].
    #[arg(long)]
    pooling: Option<Pooling>,
    /// Name of the model's prompt to put before every text [default: the model's default, if it has one].
    #[arg(long, value_name = "NAME", conflicts_with = "prompt")]
    prompt_name: Option<String>,
    /// Text to put before every text, whatever the model has; nothing where it is empty.
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// How many of an embedding's first numbers to keep, normalized again where the model's are [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    dimensions: Option<u32>,
    /// Keep fewer also of a model that does not say that it was trained for it (Matryoshka).
    #[arg(long, requires = "dimensions")]
    allow_truncation: bool,
    /// Device: auto (CUDA if usable), cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Threads of the processor [default: its cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write index,sentence1,sentence2,label,prediction as CSV; with several datasets, one file each, whose name has
    /// the dataset's before its extension.
    #[arg(long, value_name = "FILE.csv")]
    predictions: Option<PathBuf>,
    /// Write two SVG pictures per dataset into a folder: label against prediction (NAME.scatter.svg), and the
    /// histograms of both (NAME.histogram.svg). Of a dataset without labels, only the histogram of predictions.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    command_line::run(data::is_wrong_use, || run(&args))
}

fn run(args: &Args) -> anyhow::Result<()> {
    let dir = DataDir::new(args.data_dir.clone()).with_reading(args.reading.reading());
    data::refuse_repeated("--data", &args.data, &dir)?;
    let datasets = args.data.iter().map(|spec| PairFile::open(spec, &dir)).collect::<Result<Vec<_>, _>>()?;
    for dataset in &datasets {
        let PairFile { name, scores, .. } = dataset;
        if let Some(layout) = dataset.layout().filter(|layout| layout.encoding != "UTF-8") {
            ground::say!("{name}: {layout}");
        }
        match scores {
            Some(_) if dir.has_scale() => {} // it was set on purpose
            Some(scores) => doubt_of_scale(name, scores).iter().for_each(|doubt| ground::say!("warning: {doubt}")),
            None => ground::say!("{name}: no column score or label, so there is nothing to compare with"),
        }
    }
    let device = runtime::init(args.device, args.threads.map(usize::from))?;
    let precision = args.precision.on(device);
    if args.precision == PrecisionChoice::Auto {
        ground::say!("precision {precision} ({})", runtime::processor());
    }
    let options = Options {
        device,
        precision,
        max_seq_length: args.max_seq_length.map(|length| length as usize),
        pooling: args.pooling,
        prompt: PromptChoice::of(args.prompt_name.clone(), args.prompt.clone()),
        dimensions: args.dimensions.map(|dimensions| dimensions as usize),
        allow_truncation: args.allow_truncation,
        ..Options::default()
    };
    let model = Hub::from_env().resolve(&args.model, &mut hub::on_stderr())?;
    let (scorer, prompt) = load(args, &model, &options)?;
    // Every output is started before the long work, so that a path that cannot be written fails at once.
    let json = args.json.as_deref().map(Staged::create).transpose()?;
    let predictions = match &args.predictions {
        Some(path) => {
            predictions_paths(path, &datasets)?.iter().map(|path| Staged::create(path)).collect::<Result<_, _>>()?
        }
        None => Vec::new(),
    };
    let plots = match &args.plots {
        Some(dir) => {
            let names = file_names(&datasets, "--plots")?;
            let files = datasets.iter().zip(&names);
            files.map(|(dataset, name)| Plots::create(dir, name, dataset.scores.is_some())).collect::<Result<_, _>>()?
        }
        None => Vec::new(),
    };
    let (mut results, mut labelled) = (Vec::new(), Vec::new());
    let (mut predictions, mut plots) = (predictions.into_iter(), plots.into_iter());
    for dataset in &datasets {
        let mut file = predictions.next();
        let scored = score_file(&*scorer, dataset, file.as_mut())?;
        let evaluation = Evaluation::new(&dataset.name, &scored);
        if let Some(file) = file {
            let path = file.target().to_owned();
            file.commit(true)?;
            ground::say!("predictions: {}", path.display());
        }
        if let Some(plots) = plots.next() {
            plots.write(&evaluation, &scored)?;
        }
        results.push(evaluation);
        if scored.labels.is_some() {
            labelled.push(scored);
        }
    }
    if labelled.len() > 1 {
        results.push(Evaluation::new("merged", &Scored::merge(labelled)));
    }
    let report =
        Report { model: args.model.display().to_string(), precision, prompt, processor: runtime::processor(), results };
    if let Some(mut file) = json {
        let path = file.target().to_owned();
        let text = serde_json::to_string_pretty(&report)? + "\n";
        file.file().write_all(text.as_bytes()).map_err(|cause| file.failed(cause))?;
        file.commit(true)?;
        ground::say!("figures: {}", path.display());
    }
    if let Some(dir) = &args.plots {
        ground::say!("plots: {}", dir.display());
    }
    writeln!(io::stdout(), "{report}")?;
    Ok(())
}

/// The model, and what it puts before every text.
fn load(args: &Args, dir: &Path, options: &Options) -> anyhow::Result<(Box<dyn PairScorer>, String)> {
    if holds_cross_encoder(dir) {
        refuse_beside_cross_encoder(&[
            ("--pooling", args.pooling.is_some()),
            ("--prompt-name", args.prompt_name.is_some()),
            ("--prompt", args.prompt.is_some()),
            ("--dimensions", args.dimensions.is_some()),
        ])?;
        let encoder = CrossEncoder::load(dir, options)?;
        encoder.check_single_label()?;
        return Ok((Box::new(encoder), String::new()));
    }
    let encoder = SentenceEncoder::load(dir, options)?;
    encoder.pooling_note(args.model.display(), "--pooling").iter().for_each(|note| ground::say!("{note}"));
    encoder.prompt_note(args.model.display(), "--prompt-name").iter().for_each(|note| ground::say!("{note}"));
    let prompt = encoder.tokenizer().prompt().to_owned();
    Ok((Box::new(encoder), prompt))
}

/// Scores a dataset part by part, and writes each part's predictions.
fn score_file(scorer: &dyn PairScorer, dataset: &PairFile, mut file: Option<&mut Staged>) -> anyhow::Result<Scored> {
    let bar = progress_bar(dataset);
    let (mut all, mut elapsed) = (PairScores::default(), Duration::ZERO);
    for pairs in dataset.parts()? {
        let (pairs, start) = (pairs?, Instant::now());
        let scores = scorer.score_pairs(&pairs, &mut |sentences| bar.inc(sentences as u64))?;
        elapsed += start.elapsed();
        if let Some(place) = scores.predictions.iter().position(|prediction| !prediction.is_finite()) {
            let (name, row) = (&dataset.name, all.predictions.len() + place);
            bail!("{name}: pair {row}, counted from 0, has no finite score: the model gives what is no number");
        }
        if let Some(file) = &mut file {
            let path = file.target().to_owned();
            write_predictions(file.file(), all.predictions.len(), &pairs, &scores.predictions)
                .with_context(|| path.display().to_string())?;
        }
        all.extend(scores);
    }
    bar.finish_and_clear();
    let has_changed = all.predictions.len() != dataset.pairs;
    ensure!(!has_changed, "{}: the file was changed while it was read", dataset.path.display());
    if !all.losses.is_none() {
        ground::say!("{}: of {} texts {}", dataset.name, scorer.texts_of_a_pair() * dataset.pairs, all.losses);
    }
    Ok(all.scored(scorer, dataset.scores.clone(), elapsed))
}

/// `out.csv`, or `out.kor-sts-test.csv` and so on where several datasets are scored.
fn predictions_paths(path: &Path, datasets: &[PairFile]) -> anyhow::Result<Vec<PathBuf>> {
    if datasets.len() == 1 {
        return Ok(vec![path.to_owned()]);
    }
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    let names = file_names(datasets, "--predictions")?;
    Ok(names.iter().map(|name| path.with_extension(format!("{name}{extension}"))).collect())
}

/// What the files of each dataset are named after: `kor-sts-test` for `kor-sts:test`.
fn file_names(datasets: &[PairFile], option: &str) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for dataset in datasets {
        let letter = |letter: char| if letter.is_alphanumeric() || letter == '-' { letter } else { '-' };
        // Of a long path the end: a file's name cannot be of any length.
        let start = dataset.name.chars().count().saturating_sub(LONGEST_NAME);
        let name: String = dataset.name.chars().skip(start).map(letter).collect();
        let name = name.trim_matches('-').to_owned();
        if names.contains(&name) {
            let what = format!("{option}: two datasets would have files named {name}: evaluate them one by one");
            return Err(WrongUse(what).into());
        }
        names.push(name);
    }
    Ok(names)
}

/// A bar on a terminal, a line elsewhere.
fn progress_bar(dataset: &PairFile) -> ProgressBar {
    let template = "{prefix} {wide_bar} {pos}/{len} sentences, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("a valid template");
    let bar = ProgressBar::new(2 * dataset.pairs as u64).with_style(style).with_prefix(dataset.name.clone());
    if bar.is_hidden() {
        ground::say!("scoring {}: {} sentences", dataset.name, 2 * dataset.pairs);
    }
    bar
}

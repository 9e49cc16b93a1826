//! One side of `scripts/bench`: loads a model once, then times what it is told on standard input, a command a line.
//!
//! | command | answer |
//! |---|---|
//! | (once loaded) | `ready` |
//! | `encode FILE [N]` | seconds for the file's sentences, N at a time or all at once |
//! | `pair FILE N` | median milliseconds of N times the file's first two sentences |
//! | `vectors FILE OUTPUT` | `written`: the tensor `embeddings` (sentences, hidden) as safetensors |
//! | `rerank FILE` | of a cross-encoder: seconds for the file's first sentence with each of the others |
//! | `numbers FILE OUTPUT` | `written`: its numbers for them, the tensor `numbers` (sentences − 1) as safetensors |
//! | `processor` | what of the processor is used |
//! | `memory` | most bytes held so far |
//!
//! Files have one sentence a line. `scripts/bench/peer.py` answers the same commands.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use model::{
    CrossEncoder, Options, Precision, SentenceEncoder, holds_cross_encoder,
    runtime::{self, DeviceChoice},
    weights::write_safetensors,
};
use tch::Tensor;

#[derive(Parser)]
struct Args {
    /// Model directory.
    #[arg(long)]
    model: PathBuf,
    /// Number format of the layers: f32, bf16 or int8.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Device: auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Threads of the processor [default: its cores].
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let options =
        Options { device: runtime::init(args.device, args.threads)?, precision: args.precision, ..Options::default() };
    let side = match holds_cross_encoder(&args.model) {
        true => Side::Pairs(CrossEncoder::load(&args.model, &options)?),
        false => Side::Texts(SentenceEncoder::load(&args.model, &options)?),
    };
    answer("ready")?;
    for command in io::stdin().lines() {
        let command = command?;
        answer(&obey(&side, &command).with_context(|| format!("command `{command}`"))?)?;
    }
    Ok(())
}

fn answer(text: &str) -> io::Result<()> {
    println!("{text}");
    io::stdout().flush()
}

/// What is measured.
enum Side {
    Texts(SentenceEncoder),
    Pairs(CrossEncoder),
}

fn obey(side: &Side, command: &str) -> anyhow::Result<String> {
    let words: Vec<&str> = command.split(' ').collect();
    Ok(match (side, words.as_slice()) {
        (_, ["processor"]) => runtime::processor(),
        (_, ["memory"]) => runtime::peak_memory().context("the system does not say")?.to_string(),
        (Side::Texts(encoder), ["encode", file]) => encode(encoder, file, usize::MAX)?.as_secs_f64().to_string(),
        (Side::Texts(encoder), ["encode", file, number]) => {
            encode(encoder, file, number.parse()?)?.as_secs_f64().to_string()
        }
        (Side::Texts(encoder), ["pair", file, times]) => {
            (1e3 * pair(encoder, file, times.parse()?)?.as_secs_f64()).to_string()
        }
        (Side::Texts(encoder), ["vectors", file, output]) => {
            let embeddings = encoder.encode(&sentences(file)?)?.to_tensor();
            write_safetensors(Path::new(output), &BTreeMap::from([("embeddings".to_owned(), embeddings)]))?;
            "written".to_owned()
        }
        (Side::Pairs(encoder), ["rerank", file]) => rerank(encoder, file)?.1.as_secs_f64().to_string(),
        (Side::Pairs(encoder), ["numbers", file, output]) => {
            let numbers = Tensor::from_slice(&rerank(encoder, file)?.0);
            write_safetensors(Path::new(output), &BTreeMap::from([("numbers".to_owned(), numbers)]))?;
            "written".to_owned()
        }
        (Side::Texts(_), _) => bail!("expected encode, pair, vectors, processor or memory"),
        (Side::Pairs(_), _) => bail!("expected rerank, numbers, processor or memory"),
    })
}

fn sentences(file: &str) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| file.to_owned())?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Time for the sentences of a file, `number` at a time.
fn encode(encoder: &SentenceEncoder, file: &str, number: usize) -> anyhow::Result<Duration> {
    ensure!(number > 0, "0 sentences at a time, expected at least 1");
    let sentences = sentences(file)?;
    let start = Instant::now();
    for chunk in sentences.chunks(number) {
        let _ = encoder.encode(chunk)?;
    }
    Ok(start.elapsed())
}

/// A cross-encoder's numbers for a file's first sentence with each of the others, and their time.
fn rerank(encoder: &CrossEncoder, file: &str) -> anyhow::Result<(Vec<f32>, Duration)> {
    let sentences = sentences(file)?;
    let (query, texts) = sentences.split_first().with_context(|| format!("{file}: expected sentences"))?;
    let start = Instant::now();
    let pairs: Vec<[&str; 2]> = texts.iter().map(|text| [query.as_str(), text]).collect();
    let (numbers, _) = encoder.logits(&pairs, &mut |_| {})?;
    Ok((numbers, start.elapsed()))
}

/// Median time for a pair of sentences.
fn pair(encoder: &SentenceEncoder, file: &str, times: usize) -> anyhow::Result<Duration> {
    let sentences = sentences(file)?;
    let pair = sentences.get(..2).with_context(|| format!("{file}: expected two sentences"))?;
    let mut durations = Vec::new();
    for _ in 0..times {
        let start = Instant::now();
        let _ = encoder.encode(pair)?;
        durations.push(start.elapsed());
    }
    durations.sort();
    durations.get(times / 2).copied().context("0 times, expected at least 1")
}

//! Encodes a text file, one sentence a line, into the tensor `embeddings` (sentences, hidden) of a safetensors file. With a
//! cross-encoder, that is (1, sentences): its scores of the first sentence with each.
//!
//! `cargo run --release -p model --example encode -- --model DIR --input sentences.txt --output embeddings.safetensors`

use std::{collections::BTreeMap, fs, path::PathBuf, time::Instant};

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
    /// Text file with one sentence a line.
    #[arg(long)]
    input: PathBuf,
    /// Safetensors file to write.
    #[arg(long)]
    output: PathBuf,
    /// Number format of the layers: f32, bf16 or int8.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Tokens per sentence.
    #[arg(long)]
    max_seq_length: Option<usize>,
    /// Device: auto, cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let options = Options {
        device: runtime::init(args.device, None)?,
        precision: args.precision,
        max_seq_length: args.max_seq_length,
        ..Options::default()
    };
    let text = fs::read_to_string(&args.input)?;
    let sentences: Vec<&str> = text.lines().collect();
    let (embeddings, start) = match holds_cross_encoder(&args.model) {
        true => {
            let encoder = CrossEncoder::load(&args.model, &options)?;
            let start = Instant::now();
            let pairs: Vec<[&str; 2]> = sentences.iter().map(|sentence| [sentences[0], sentence]).collect();
            (Tensor::from_slice(&encoder.scores(&pairs)?).unsqueeze(0), start)
        }
        false => {
            let encoder = SentenceEncoder::load(&args.model, &options)?;
            let start = Instant::now();
            (encoder.encode(&sentences)?.to_tensor(), start)
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    println!("{} sentences in {seconds:.3} s: {:.1} sentences/s", sentences.len(), sentences.len() as f64 / seconds);
    write_safetensors(&args.output, &BTreeMap::from([("embeddings".to_owned(), embeddings)]))?;
    Ok(())
}

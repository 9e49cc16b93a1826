//! Times exact search over a corpus, for the benchmark of `scripts/scale/search.py`: rows of the corpus are the queries.
//!
//! Prints a JSON object: the median and the 95th percentile in milliseconds, and the numbers of the rows that were found.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Context;
use clap::Parser;
use embed::{Corpus, Filter, ScanFormat};
use ground::command_line;
use model::runtime::{self, DeviceChoice};

/// Time exact search over a corpus.
#[derive(Parser)]
struct Args {
    /// Folder of embeddings.
    #[arg(long)]
    corpus: PathBuf,
    /// Queries, f32, one after the other.
    #[arg(long)]
    queries: PathBuf,
    /// Number format that is scanned.
    #[arg(long, default_value_t)]
    format: ScanFormat,
    /// Rows to find.
    #[arg(long, default_value_t = 10)]
    top_k: usize,
    /// Threads [default: the cores].
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    command_line::run(data::is_wrong_use, || {
        runtime::init(DeviceChoice::Cpu, args.threads)?;
        let corpus = Corpus::open(&args.corpus, None, args.format, &mut |_| {})?;
        let bytes = std::fs::read(&args.queries).with_context(|| args.queries.display().to_string())?;
        let numbers: Vec<f32> =
            bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect();
        let queries = || numbers.chunks_exact(corpus.settings().dimensions);
        queries().take(3).for_each(|query| drop(corpus.search(query, args.top_k, &Filter::default()))); // to warm up
        let (mut times, mut found) = (Vec::new(), Vec::new());
        for query in queries() {
            let start = Instant::now();
            let hits = corpus.search(query, args.top_k, &Filter::default());
            times.push(start.elapsed().as_secs_f64() * 1e3);
            let rows = hits.iter().map(|hit| Ok(corpus.row(hit)?.index)).collect::<anyhow::Result<Vec<u64>>>()?;
            found.push(rows);
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!(
            "{}",
            serde_json::json!({ "p50_ms": at(0.5), "p95_ms": at(0.95), "rows": corpus.rows(), "found": found })
        );
        Ok(())
    })
}

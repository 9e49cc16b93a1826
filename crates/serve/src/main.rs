//! The `serve` command: a sentence encoder over HTTP.

use std::{path::PathBuf, process::ExitCode};

use anyhow::anyhow;
use clap::Parser;
use ground::command_line;
use serve::{Settings, logging, settings::Raw};

/// Serve a sentence encoder, a reranker or both over HTTP: similarity of two sentences, ranking of CSV files, embeddings,
/// reranking, a web page.
///
/// Every option is a key of the configuration file too, and wins over it; see configs/serve.toml.
#[derive(Parser)]
#[command(name = "serve", version)]
struct Args {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Raw,
}

fn main() -> ExitCode {
    let args = Args::parse();
    command_line::run(data::is_wrong_use, || {
        let settings = Settings::load(&args.settings, args.config.as_deref())?;
        logging::init(settings.log_format, settings.log_level);
        // Without its sources, which its text holds already.
        serve::run(&settings).map_err(|error| anyhow!("{error}"))
    })
}

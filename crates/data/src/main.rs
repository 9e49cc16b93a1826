//! The `data` command: fetch, describe and split datasets of sentence pairs.

mod command;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use command::{fetch, overlap, split, stats};
use ground::command_line;

/// Fetch, describe and split datasets of Korean sentence pairs.
///
/// A dataset is named klue-sts:{train,dev}, kor-sts:{train,dev,test} or sample:{train,dev,test}, or by the path of a
/// table (.json, .jsonl, .tsv, .csv, .xlsx, .parquet) with the columns sentence1, sentence2 and score or label.
#[derive(Parser)]
#[command(name = "data", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Stats(stats::Arguments),
    Split(split::Arguments),
    Fetch(fetch::Arguments),
    Overlap(overlap::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    command_line::run(data::is_wrong_use, || {
        let mut out = io::stdout().lock();
        match arguments.command {
            Command::Stats(arguments) => stats::run(&arguments, &mut out),
            Command::Split(arguments) => split::run(&arguments, &mut out),
            Command::Fetch(arguments) => fetch::run(&arguments, &mut out),
            Command::Overlap(arguments) => overlap::run(&arguments, &mut out),
        }?;
        Ok(out.flush()?)
    })
}

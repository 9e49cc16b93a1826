//! The `embed` command: embeddings of the texts of a table, or scores of its pairs.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use data::command_line::{self, WrongUse};
use embed::{Added, Columns, Dtype, Job, Settings, Shard, Table, embed_table, filter_stream};
use model::{
    BUNDLED_MODEL, Options, Precision, SentenceEncoder, fingerprint,
    hub::{self, Hub},
    runtime::{self, DeviceChoice},
};

/// Add the embedding of a text, or the score of two, to every row of a table.
///
/// Writes a folder of Parquet parts with all columns of the input. It can be stopped at any time: the same command goes on
/// with the parts that are missing.
#[derive(Parser)]
#[command(name = "embed", version)]
struct Args {
    /// Model directory, in sentence-transformers' or Hugging Face's layout, or a model's id on the Hugging Face hub, as
    /// owner/name or owner/name@revision.
    #[arg(long, value_name = "DIR_OR_HUB_ID", default_value = BUNDLED_MODEL)]
    model: PathBuf,
    /// Table to read: a .csv, .tsv, .jsonl, .ndjson or .parquet file, a folder of them, or a glob. May be given several
    /// times; all files must have the same columns.
    #[arg(long, value_name = "FILE_OR_FOLDER_OR_GLOB", required_unless_present = "stdio")]
    input: Vec<String>,
    /// Column of the text.
    #[arg(long, value_name = "NAME", default_value = "text", conflicts_with = "pairs")]
    column: String,
    /// Two columns of texts: their score, 5 · cosine, is added in place of embeddings.
    #[arg(long, value_name = "A,B")]
    pairs: Option<String>,
    /// Folder of the parts: new, empty, or of an earlier run of the same job.
    #[arg(long, value_name = "DIR", required_unless_present = "stdio")]
    output: Option<PathBuf>,
    /// Name of the new column [default: embedding, or score with --pairs].
    #[arg(long, value_name = "NAME")]
    output_column: Option<String>,
    /// Numbers of the embeddings: f32, f16, or int8 with a scale per row in a column of its own.
    #[arg(long, default_value_t, conflicts_with = "pairs")]
    dtype: Dtype,
    /// Rows of a part.
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..))]
    rows_per_part: u32,
    /// Make every N-th part, beginning with I: for N processes that share the job, I from 0 to N − 1.
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE)]
    shard: Shard,
    /// Read an Arrow IPC stream on standard input, and write one with the new column on standard output.
    #[arg(long, conflicts_with_all = ["input", "output", "shard", "rows_per_part"])]
    stdio: bool,
    /// Number format of the encoder's layers: f32, bf16, or int8 on a processor.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Tokens per sentence, special tokens included [default: the model's own].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    max_seq_length: Option<u32>,
    /// Device: auto (CUDA if usable), cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Threads of the processor [default: its cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

impl Args {
    fn columns(&self) -> Result<Columns, WrongUse> {
        let named = |default: &str| self.output_column.clone().unwrap_or_else(|| default.to_owned());
        let Some(pairs) = &self.pairs else {
            return Ok(Columns::Embedding { text: self.column.clone(), name: named("embedding"), dtype: self.dtype });
        };
        match pairs.split_once(',') {
            Some((a, b)) if !a.is_empty() && !b.is_empty() => {
                Ok(Columns::Score { texts: [a.to_owned(), b.to_owned()], name: named("score") })
            }
            _ => Err(WrongUse(format!("--pairs is {pairs:?}, expected two columns, such as sentence1,sentence2"))),
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    command_line::run(|| run(&args))
}

fn run(args: &Args) -> anyhow::Result<()> {
    let columns = args.columns()?;
    // Before the model, so that a wrong path is told at once.
    let table = if args.stdio { None } else { Some(Table::open(&args.input)?) };
    if let Some(table) = &table {
        Added::new(columns.clone(), &table.schema, 1)?; // what is wrong with them, whatever the width
    }
    let options = Options {
        device: runtime::init(args.device, args.threads.map(usize::from))?,
        precision: args.precision,
        max_seq_length: args.max_seq_length.map(|length| length as usize),
        ..Options::default()
    };
    let dir = Hub::from_env().resolve(&args.model, &mut hub::on_stderr())?;
    let encoder = SentenceEncoder::load(&dir, &options)?;
    let (Some(table), Some(output)) = (table, args.output.clone()) else {
        let (rows, losses) = filter_stream(io::stdin().lock(), io::stdout().lock(), columns, &encoder)?;
        data::say!("{rows} rows{losses}");
        return Ok(());
    };
    let added = Added::new(columns.clone(), &table.schema, encoder.config().hidden_size as usize)?;
    let rows_per_part = args.rows_per_part as usize;
    let settings = Settings::new(&args.model, fingerprint(&dir)?, &encoder, columns, rows_per_part, &table);
    let outcome = embed_table(&Job { table, added, output, settings, shard: args.shard }, &encoder)?;
    writeln!(io::stdout(), "{outcome}")?;
    Ok(())
}

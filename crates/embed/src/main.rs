//! The `embed` command: embeddings of the texts of a table, or scores of its pairs.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use embed::{Added, Columns, Dtype, Job, Model, Settings, Shard, Table, embed_table, filter_stream};
use ground::command_line::{self, WrongUse, refuse_beside_cross_encoder};
use model::{
    BUNDLED_MODEL, Options, Pooling, PrecisionChoice, PromptChoice, Quantization, Ranges, fingerprint,
    holds_cross_encoder,
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
    /// Table to read: CSV, TSV or lines of text (UTF-8, UTF-16 or CP949), JSON lines, Parquet or an .xlsx workbook; a folder
    /// of such files, or a glob. May be given several times; columns are merged by their names.
    #[arg(long, value_name = "FILE_OR_FOLDER_OR_GLOB", required_unless_present = "stdio")]
    input: Vec<String>,
    /// Column of the text, by its name or, of a table, its number from 0 [default: the one that is named as sentences are, or
    /// looks like them; text with --stdio].
    #[arg(long, value_name = "NAME", conflicts_with = "pairs")]
    column: Option<String>,
    /// Sheet of a workbook [default: the first].
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// Whether the first row names the columns [default: detected].
    #[arg(long, value_name = "BOOL")]
    has_header: Option<bool>,
    /// Two columns of texts: their score, 5 · cosine, or 5 times the score of a cross-encoder, is added in place of embeddings.
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
    /// A byte or a bit a number, as sentence-transformers' quantize_embeddings gives it: int8 and uint8 by the range of each
    /// dimension, binary and ubinary by signs, eight a byte.
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["pairs", "dtype"])]
    quantize: Option<Quantization>,
    /// JSON file with the range of each dimension ("min" and "max") for --quantize [default: those of the first 10,000 texts
    /// of the table, kept as _ranges.json beside the parts].
    #[arg(long, value_name = "FILE", requires = "quantize")]
    ranges: Option<PathBuf>,
    /// How many of an embedding's first numbers to keep, normalized again where the model's are [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    dimensions: Option<u32>,
    /// Keep fewer also of a model that does not say that it was trained for it (Matryoshka).
    #[arg(long, requires = "dimensions")]
    allow_truncation: bool,
    /// Rows of a part.
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..))]
    rows_per_part: u32,
    /// Make every N-th part, beginning with I: for N processes that share the job, I from 0 to N − 1.
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE)]
    shard: Shard,
    /// Read an Arrow IPC stream on standard input, and write one with the new column on standard output.
    #[arg(long, conflicts_with_all = ["input", "output", "shard", "rows_per_part"])]
    stdio: bool,
    /// Number format of the encoder's layers: f32, bf16, int8 on a processor, or auto for the fastest that ranks like f32.
    #[arg(long, default_value_t)]
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
    /// Device: auto (CUDA if usable), cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Threads of the processor [default: its cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

impl Args {
    /// The columns of the texts as they were named; none where one is to be found.
    fn asked(&self) -> Result<Vec<String>, WrongUse> {
        let Some(pairs) = &self.pairs else { return Ok(self.column.iter().cloned().collect()) };
        match pairs.split_once(',') {
            Some((a, b)) if !a.is_empty() && !b.is_empty() => Ok(vec![a.to_owned(), b.to_owned()]),
            _ => Err(WrongUse(format!("--pairs is {pairs:?}, expected two columns, such as sentence1,sentence2"))),
        }
    }

    /// Numbers of the embeddings that are written.
    fn dtype(&self) -> Dtype {
        self.quantize.map_or(self.dtype, Dtype::Quantized)
    }

    /// What is added to a table, or to a stream where there is none.
    fn columns(&self, asked: &[String], table: Option<&Table>) -> anyhow::Result<Columns> {
        let named = |default: &str| self.output_column.clone().unwrap_or_else(|| default.to_owned());
        let found = |asked: Option<&String>| match table {
            Some(table) => table.text_column(asked.map(String::as_str)),
            None => Ok(asked.map_or("text", String::as_str).to_owned()),
        };
        Ok(match asked {
            [a, b] => Columns::Score { texts: [found(Some(a))?, found(Some(b))?], name: named("score") },
            asked => Columns::Embedding { text: found(asked.first())?, name: named("embedding"), dtype: self.dtype() },
        })
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    command_line::run(data::is_wrong_use, || run(&args))
}

fn run(args: &Args) -> anyhow::Result<()> {
    let asked = args.asked()?;
    let reading = tables::Options {
        names: asked.clone(),
        has_header: args.has_header,
        sheet: args.sheet.clone(),
        ..tables::Options::default()
    };
    // Before the model, so that a wrong path is told at once.
    let table = if args.stdio { None } else { Some(Table::open(&args.input, &reading)?) };
    let columns = args.columns(&asked, table.as_ref())?;
    if let Some(table) = &table {
        Added::new(columns.clone(), &table.schema, 8, Ranges::default())?; // what is wrong, whatever the width
    }
    let device = runtime::init(args.device, args.threads.map(usize::from))?;
    let precision = args.precision.on(device);
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
    let dir = Hub::from_env().resolve(&args.model, &mut hub::on_stderr())?;
    if args.pairs.is_some() && holds_cross_encoder(&dir) {
        refuse_beside_cross_encoder(&[
            ("--pooling", args.pooling.is_some()),
            ("--prompt-name", args.prompt_name.is_some()),
            ("--prompt", args.prompt.is_some()),
            ("--dimensions", args.dimensions.is_some()),
        ])?;
    }
    let model = Model::load(&dir, &options, args.pairs.is_some())?;
    if let Some(encoder) = model.sentence_encoder() {
        encoder.pooling_note(args.model.display(), "--pooling").iter().for_each(|note| ground::say!("{note}"));
        encoder.prompt_note(args.model.display(), "--prompt-name").iter().for_each(|note| ground::say!("{note}"));
    }
    let ranges = args.ranges.as_deref().map(|path| Ranges::read(path, model.dimensions())).transpose()?;
    let (Some(table), Some(output)) = (table, args.output.clone()) else {
        let ranges = match ranges {
            None if columns.needs_ranges() => {
                let what = "--quantize of a stream takes --ranges: its first texts are not there when it begins";
                return Err(WrongUse(what.to_owned()).into());
            }
            ranges => ranges.unwrap_or_default(),
        };
        let (rows, losses) = filter_stream(io::stdin().lock(), io::stdout().lock(), columns, ranges, &model)?;
        ground::say!("{rows} rows{}", losses.appended());
        return Ok(());
    };
    let rows_per_part = args.rows_per_part as usize;
    let settings = Settings::new(&args.model, fingerprint(&dir)?, &model, columns.clone(), rows_per_part, &table);
    let ranges = match model.sentence_encoder() {
        Some(encoder) if columns.needs_ranges() => settings.ranges(&output, ranges, &table, encoder)?,
        _ => Ranges::default(),
    };
    let added = Added::new(columns, &table.schema, model.dimensions(), ranges)?;
    let outcome = embed_table(&Job { table, added, output, settings, shard: args.shard }, &model)?;
    writeln!(io::stdout(), "{outcome}")?;
    Ok(())
}

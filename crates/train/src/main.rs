//! The `train` command: trains a sentence encoder as a configuration file says.

use std::{
    io::{self, Write},
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use data::DataDir;
use ground::command_line;
use model::runtime::{self, DeviceChoice};
use train::{Environment, Existing, Interrupt, Plan, Ranks, Voice, run_stages, run_trials, train};

/// Train a sentence encoder or a cross-encoder: fine-tune it on scored sentence pairs, distil others into it, or pretrain it
/// on text.
#[derive(Parser)]
#[command(name = "train", version)]
struct Args {
    /// Configuration file (TOML); see configs/.
    #[arg(long, value_name = "FILE.toml")]
    config: PathBuf,
    /// Replace a key of the configuration, such as train.epochs=2. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run directory [default: the configuration's output, else checkpoints/ and the file's name].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Go on with the run that the run directory holds, from its last saved state; begin it if there is none.
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Replace the run that the run directory holds.
    #[arg(long)]
    overwrite: bool,
    /// Folder of the named datasets [default: $STS_DATA_DIR, else data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Device: auto (CUDA if usable), cpu or cuda:N.
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Threads of the processor [default: its cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    command_line::run(data::is_wrong_use, || {
        let ranks = Ranks::of_launcher()?;
        let voice = Voice::new(&ranks).context("cannot write to standard error")?;
        let done = panic::catch_unwind(AssertUnwindSafe(|| run(&args, &ranks)));
        match &done {
            Ok(Err(error)) => voice.last_words(error, &ranks),
            Err(_) => voice.last_words_of_panic(&ranks),
            Ok(Ok(())) => {}
        }
        done.unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

fn run(args: &Args, ranks: &Ranks) -> anyhow::Result<()> {
    let plan = Plan::load(&args.config, &args.set, args.output.clone())?;
    let threads = args.threads.map(usize::from);
    let environment = Environment {
        device: match args.device {
            DeviceChoice::Auto => ranks.device(runtime::init(args.device, threads)?)?,
            choice => runtime::init(choice, threads)?,
        },
        data_dir: DataDir::new(args.data_dir.clone()),
        existing: match (args.resume, args.overwrite) {
            (true, _) => Existing::Resume,
            (false, true) => Existing::Overwrite,
            (false, false) => Existing::Refuse,
        },
        interrupt: Interrupt::listen().context("cannot listen for signals")?,
        ranks: ranks.clone(),
    };
    match plan {
        Plan::Run(config) => writeln!(io::stdout(), "{}", train(&config, &environment)?)?,
        Plan::Trials(trials) => {
            let ranking = run_trials(&trials, &environment)?;
            if !ranking.ranking.is_empty() {
                writeln!(io::stdout(), "{ranking}")?;
            }
            ranking.check()?;
        }
        Plan::Stages(stages) => writeln!(io::stdout(), "{}", run_stages(&stages, &environment)?)?,
    }
    Ok(())
}

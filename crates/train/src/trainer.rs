//! The training loop.

use anyhow::ensure;
use data::{DataDir, Dataset};
use eval::{Evaluation, score};
use model::{Options, SentenceEncoder, runtime};
use serde_json::json;
use tch::Device;

use crate::{
    card,
    config::Config,
    datasets::Datasets,
    initial::initial_encoder,
    meter::Meter,
    optimizer::{AdamW, AdamWConfig},
    pairs::{Batch, TokenizedPairs},
    progress::Progress,
    report::{Epoch, Report},
    run_dir::{RunDir, TrainerState},
    schedule::LinearSchedule,
    step::{StepConfig, StepOutcome, training_step},
    validation::validate,
};

/// What a run needs beside its configuration.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Where to compute.
    pub device: Device,
    /// Where named datasets lie.
    pub data_dir: DataDir,
    /// Whether a run that the output directory holds is replaced.
    pub overwrite: bool,
}

/// Trains as the configuration says, and leaves a run directory behind.
pub fn train(config: &Config, environment: &Environment) -> anyhow::Result<Report> {
    RunDir::check(&config.output, environment.overwrite)?;
    let datasets = Datasets::load(config, &environment.data_dir)?;
    runtime::manual_seed(config.seed);
    let encoder = initial_encoder(config, &datasets, environment)?;
    let pairs = TokenizedPairs::new(&datasets.train, &datasets.train_labels, encoder.tokenizer())?;

    let pairs_per_step = config.batch_size * config.gradient_accumulation;
    let steps_per_epoch = pairs.len().div_ceil(pairs_per_step) as u64;
    let total_steps = (steps_per_epoch * u64::from(config.epochs)).min(config.max_steps.unwrap_or(u64::MAX));
    let schedule = LinearSchedule { warmup_steps: config.warmup.steps(steps_per_epoch, total_steps)?, total_steps };
    let mut optimizer =
        AdamW::new(encoder.variables(), AdamWConfig { weight_decay: config.weight_decay, ..AdamWConfig::default() });
    let step_config = StepConfig { precision: config.precision, max_grad_norm: config.max_grad_norm, dropout: true };
    let mut run = RunDir::create(&config.output, environment.overwrite, &config.raw)?;
    let mut report = Report::new(config, environment.device, datasets.rows());
    let progress = Progress::new(total_steps);

    let mut step = 0;
    for epoch in 1..=config.epochs {
        progress.epoch(epoch, config.epochs);
        let (mut whole, mut window) = (Meter::start(), Meter::start()); // the epoch, and the steps since the last log
        for rows in pairs.order(config.seed, epoch).chunks(pairs_per_step) {
            let learning_rate = config.learning_rate * schedule.factor(step);
            let batches: Vec<Batch> = rows.chunks(config.batch_size).map(|rows| pairs.batch(rows)).collect();
            runtime::manual_seed(dropout_seed(config.seed, step));
            let outcome = training_step(&encoder, &mut optimizer, &batches, learning_rate, &step_config);
            let StepOutcome { loss, grad_norm } = outcome;
            step += 1;
            ensure!(
                outcome.is_finite(),
                "step {step}: the loss is {loss} and the norm of its gradient {grad_norm}; no such step is taken; \
                 a smaller train.learning_rate may help"
            );
            whole.add(loss, rows.len());
            window.add(loss, rows.len());
            progress.step(step);
            if step.is_multiple_of(config.log_every_steps) || step == total_steps {
                progress.log(&window, learning_rate);
                run.log(&json!({
                    "event": "step", "epoch": epoch, "step": step, "loss": window.loss(), "learning_rate": learning_rate,
                    "grad_norm": grad_norm, "pairs_per_second": window.pairs_per_second(),
                }))?;
                window = Meter::start();
            }
            if step == total_steps {
                break;
            }
        }
        let (train_loss, pairs_per_second) = (whole.loss(), whole.pairs_per_second());
        let dev = validate(&encoder, &datasets.dev, &progress)?;
        let entry = Epoch { epoch, step, train_loss, pairs_per_second, dev };
        progress.line(&entry.to_string());
        run.log_epoch(&entry)?;
        let is_best = report.add(entry);
        let card = card::model_card(&report);
        if is_best {
            run.save_best(&encoder, &card)?;
        }
        run.save_last(&encoder, &card, &optimizer, &TrainerState { epoch, step, best: report.best })?;
        if step == total_steps {
            break; // train.max_steps ends a run within an epoch
        }
    }
    drop((encoder, optimizer)); // their memory is the best checkpoint's now
    report.test = test(&run, &datasets, environment, &progress)?;
    progress.finish();
    report.finish();
    run.write_report(&report)?;
    Ok(report)
}

/// Seed of a step's dropout: a function of the run's seed and the step alone, so that a step can be had again without
/// those before it. Source: the finalizer of SplitMix64, which leaves no two of neighbouring seeds alike.
fn dropout_seed(seed: u64, step: u64) -> u64 {
    let mut bits = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Figures of the best checkpoint, read back from the disk, on the test sets.
fn test(
    run: &RunDir,
    datasets: &Datasets,
    environment: &Environment,
    progress: &Progress,
) -> anyhow::Result<Vec<Evaluation>> {
    if datasets.test.is_empty() {
        return Ok(Vec::new());
    }
    let best = SentenceEncoder::load(run.best(), &Options { device: environment.device, ..Options::default() })?;
    let evaluate = |dataset: &Dataset| {
        let scored = score(&best, dataset, &mut progress.scoring("test", dataset))?;
        Ok(Evaluation::new(&dataset.name, &scored))
    };
    datasets.test.iter().map(evaluate).collect()
}

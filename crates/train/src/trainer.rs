//! The training loop.

use std::time::Instant;

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
        let start = Instant::now();
        let (mut epoch_loss, mut epoch_pairs) = (Mean::default(), 0);
        let (mut log_loss, mut log_pairs, mut log_start) = (Mean::default(), 0, start);
        for rows in pairs.order(config.seed, epoch).chunks(pairs_per_step) {
            let learning_rate = config.learning_rate * schedule.factor(step);
            let batches: Vec<Batch> = rows.chunks(config.batch_size).map(|rows| pairs.batch(rows)).collect();
            let StepOutcome { loss, grad_norm } =
                training_step(&encoder, &mut optimizer, &batches, learning_rate, &step_config);
            ensure!(loss.is_finite(), "step {}: the loss is {loss}; a smaller train.learning_rate may help", step + 1);
            step += 1;
            epoch_loss.add(loss, rows.len());
            log_loss.add(loss, rows.len());
            (epoch_pairs, log_pairs) = (epoch_pairs + rows.len(), log_pairs + rows.len());
            progress.step(step);
            if step.is_multiple_of(config.log_every_steps) || step == total_steps {
                let pairs_per_second = log_pairs as f64 / log_start.elapsed().as_secs_f64();
                progress.log(log_loss.value(), learning_rate, pairs_per_second);
                run.log(&json!({
                    "event": "step", "epoch": epoch, "step": step, "loss": log_loss.value(), "learning_rate": learning_rate,
                    "grad_norm": grad_norm, "pairs_per_second": pairs_per_second,
                }))?;
                (log_loss, log_pairs, log_start) = (Mean::default(), 0, Instant::now());
            }
            if step == total_steps {
                break;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let entry = Epoch {
            epoch,
            step,
            train_loss: epoch_loss.value(),
            pairs_per_second: epoch_pairs as f64 / seconds,
            dev: validate(&encoder, &datasets.dev)?,
        };
        progress.line(&entry.to_string());
        run.log(&json!({"event": "epoch", "epoch": &entry}))?;
        let is_best = report.add(entry);
        let card = card::model_card(&report);
        if is_best {
            run.save_best(&encoder, &card)?;
        }
        let (best_epoch, best_value) = (report.best.epoch, report.best.value);
        run.save_last(&encoder, &card, &optimizer, &TrainerState { epoch, step, best_epoch, best_value })?;
        if step == total_steps {
            break; // train.max_steps ends a run within an epoch
        }
    }
    progress.finish();
    drop((encoder, optimizer)); // their memory is the best checkpoint's now
    report.test = test(&run, &datasets, environment)?;
    report.finish();
    run.write_report(&report.to_json()?, &report.to_markdown())?;
    Ok(report)
}

/// Figures of the best checkpoint, read back from the disk, on the test sets.
fn test(run: &RunDir, datasets: &Datasets, environment: &Environment) -> anyhow::Result<Vec<Evaluation>> {
    if datasets.test.is_empty() {
        return Ok(Vec::new());
    }
    let best = SentenceEncoder::load(run.best(), &Options { device: environment.device, ..Options::default() })?;
    let evaluate = |dataset: &Dataset| Ok(Evaluation::new(&dataset.name, &score(&best, dataset, &mut |_| {})?));
    datasets.test.iter().map(evaluate).collect()
}

/// A mean over pairs, of values that are means over some of them.
#[derive(Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f64, count: usize) {
        self.sum += value * count as f64;
        self.count += count;
    }

    fn value(&self) -> f64 {
        self.sum / self.count as f64
    }
}

//! The training loop.

use anyhow::ensure;
use data::Dataset;
use eval::{Evaluation, Scored};
use model::runtime;

use crate::{
    card,
    config::Config,
    environment::{Environment, Existing},
    epoch::Epoch,
    figures::DevFigures,
    initial::saved_scorer,
    log::StepPoint,
    meter::Meter,
    optimizer::{AdamW, AdamWConfig},
    prepared::Prepared,
    progress::Progress,
    report::Report,
    run_dir::RunDir,
    schedule::LinearSchedule,
    step::StepOutcome,
    task::{self, Step, StepPlace, Task},
    validation::score_together,
};

/// Trains as the configuration says, and leaves a run directory behind.
pub fn train(config: &Config, environment: &Environment) -> anyhow::Result<Report> {
    environment.interrupt.end_at_once("nothing was changed; run the same command again")?;
    // As the first rank sees it, and before that makes the directory.
    let seen = environment.ranks.of_first(|| {
        let is_prepared_alone = RunDir::is_prepared_alone(&config.output, &config.raw);
        Ok([is_prepared_alone, config.output.exists()].map(|is_so| f64::from(u8::from(is_so))).to_vec())
    })?;
    let (is_prepared_alone, is_locked) = (seen.first() == Some(&1.0), seen.get(1) == Some(&1.0));
    // A run that was ended before its first step has nothing to lose.
    let existing = match environment.existing {
        Existing::Refuse if is_prepared_alone => Existing::Resume,
        existing => existing,
    };
    RunDir::check(&config.output, existing)?;
    let _lock = if is_locked { environment.lock(&config.output)? } else { None };
    environment.ranks.wait(); // until all have looked
    let saved = match existing {
        Existing::Resume => environment.ranks.in_turn(|| RunDir::saved_state(&config.output, &config.raw))?,
        _ => None,
    };
    let older = saved.as_ref().and_then(|_| RunDir::split_seed_of_older(&config.output));
    let config = &older.map_or_else(|| config.clone(), |seed| config.with_split_seed(seed));
    runtime::manual_seed(config.seed);
    let prepared = Prepared::new(config, environment, saved.is_some(), is_locked);
    let mut task = task::load(config, environment, saved.as_ref(), &prepared)?;

    let steps_per_epoch = task.steps_per_epoch();
    let (total_steps, schedule) = LinearSchedule::of(config, steps_per_epoch)?;
    if saved.is_none() && schedule.wastes_first_of(total_steps) {
        ground::say!(
            "warning: the first of {total_steps} steps is taken at a learning rate of 0, as a warm-up begins in transformers: \
             train.warmup_steps = 0 leaves the warm-up out"
        );
    }
    let optimizer_config = AdamWConfig {
        weight_decay: config.weight_decay,
        layerwise_decay: config.layerwise_lr_decay,
        ..AdamWConfig::default()
    };
    let mut optimizer = AdamW::new(task.variables(), &task.described(), optimizer_config);
    let mut report = Report::new(config, environment, task.rows(), task.data_sha256()?, task.similarity_function());
    let (mut whole, mut window) = (Meter::start(), Meter::start()); // the epoch, and the steps since the last log
    environment.interrupt.wait_for_check();
    let step = saved.as_ref().map_or(0, |state| state.step);
    environment.ranks.check_alike(&format!("{step} {total_steps} {} {:?}", report.data_sha256(), config.raw))?;
    let created = prepared.finish()?;
    environment.interrupt.wait_for_check();
    let is_first = environment.ranks.is_first();
    let mut _own_lock = None;
    let (mut run, mut step) = match saved {
        None => match created {
            Some((lock, run)) => {
                _own_lock = lock;
                task.write_data(&config.output)?;
                (run, 0)
            }
            None => (RunDir::of_another(&config.output), 0),
        },
        Some(state) => {
            let same = state.data_sha256 == report.data_sha256();
            ensure!(
                same,
                "{output}: the datasets are not those that the run began with: choose another output, or remove {output} to begin it \
                 anew",
                output = config.output.display()
            );
            if let Some(warning) = report.other_machine(&state) {
                ground::say!("warning: {warning}");
            }
            let run = match is_first {
                true => RunDir::reopen(&config.output, &state)?,
                false => RunDir::of_another(&config.output),
            };
            run.restore(&mut optimizer, &state)?;
            report.restore(state.epochs, state.best, state.seconds);
            (whole, window) = (state.whole.resume(), state.window.resume());
            if report.epochs.last().is_some_and(|last| last.step == state.step && last.epoch == report.best.epoch) {
                // The run may have ended between saving this state and its best checkpoint; the weights are the same.
                run.save_best(&*task, &card::model_card(&report, &run.best()))?;
            }
            run.check_best(&report)?;
            (run, state.step)
        }
    };
    optimizer.align(&environment.ranks);
    let progress = Progress::new(step, total_steps);

    if step == 0 && report.epochs.is_empty() {
        let dev = validated(&*task, 0, &run, &progress)?;
        let entry = Epoch { epoch: 0, step, train_loss: None, speed: None, dev };
        progress.line(&entry.to_string());
        run.log_epoch(&entry)?;
        report.add(entry);
        (whole, window) = (Meter::start(), Meter::start());
    }
    let first_epoch = report.epochs.iter().filter(|epoch| epoch.epoch > 0).count() as u32 + 1;
    for epoch in first_epoch..=config.epochs {
        if report.epochs.last().is_some_and(|last| last.epoch > 0 && last.step == total_steps) {
            break; // train.max_steps ended the run within that epoch
        }
        progress.epoch(epoch, config.epochs);
        let taken = step - steps_per_epoch * u64::from(epoch - 1); // of this epoch, before a resumption
        for index in taken..steps_per_epoch {
            if step == total_steps {
                break;
            }
            let learning_rate = config.learning_rate * schedule.factor(step);
            let place = StepPlace { epoch, index, learning_rate, seed: step_seed(config.seed, step) };
            let Step { outcome, amount } = task.step(&place, &mut optimizer)?;
            step += 1;
            ensure!(outcome.is_finite(), "{}", not_finite(step, outcome, &task.origins(&place), &run));
            whole.add(outcome.loss, amount);
            window.add(outcome.loss, amount);
            progress.step(step);
            let ends_epoch = step.is_multiple_of(steps_per_epoch) || step == total_steps;
            if step.is_multiple_of(config.log_every_steps) || ends_epoch {
                progress.log(&window, learning_rate);
                let (loss, speed, grad_norm) = (window.loss(), window.speed(), outcome.grad_norm);
                run.log_steps(StepPoint { epoch, step, loss, learning_rate, grad_norm, speed })?;
                window = Meter::start();
            }
            let interrupted = environment.check(&saved_after(step));
            let is_due = config.save_every_steps.is_some_and(|every| step.is_multiple_of(every));
            // The end of an epoch is saved before its dev sets are scored, which may take as long as the epoch.
            if interrupted.is_err() || is_due || ends_epoch {
                let state = report.state(step, &whole, &window, run.log_bytes()?, task.stream_place());
                run.save_last(&*task, &card::model_card(&report, &run.last()), &optimizer, &state)?;
            }
            if interrupted.is_err() {
                environment.ranks.wait(); // until it is saved
            }
            interrupted?;
        }
        environment.interrupt.end_at_once(&saved_after(step))?;
        let dev = validated(&*task, epoch, &run, &progress)?;
        environment.interrupt.wait_for_check();
        let entry = Epoch { epoch, step, train_loss: Some(whole.loss()), speed: Some(whole.speed()), dev };
        progress.line(&entry.to_string());
        run.log_epoch(&entry)?;
        let is_best = report.add(entry);
        (whole, window) = (Meter::start(), Meter::start());
        let state = report.state(step, &whole, &window, run.log_bytes()?, task.stream_place());
        run.save_state(&card::model_card(&report, &run.last()), &state)?;
        if is_best {
            run.save_best(&*task, &card::model_card(&report, &run.best()))?;
        }
        environment.check(&saved_after(step))?;
    }
    drop(optimizer);
    environment.ranks.wait(); // until the best checkpoint is there
    let datasets = task.into_test(); // the model's memory is the best checkpoint's now
    report.test = test(&run, &datasets, environment, &progress)?;
    progress.finish();
    report.finish();
    run.write_report(&report, config.loss_name())?;
    environment.ranks.wait(); // whoever goes on with this run reads it
    Ok(report)
}

/// The figures of the dev sets, none of whose losses is other than finite.
fn validated(task: &dyn Task, epoch: u32, run: &RunDir, progress: &Progress) -> anyhow::Result<Vec<DevFigures>> {
    let dev = task.validate(progress)?;
    for figures in &dev {
        let (set, loss) = (&figures.data, figures.loss);
        ensure!(
            loss.is_finite(),
            "epoch {epoch}: the loss on {set} is {loss}; the last good state is kept in {}",
            run.last().display()
        );
    }
    Ok(dev)
}

fn saved_after(step: u64) -> String {
    format!("saved after step {step}; go on by the same command with --resume")
}

/// What to say of a step that was not taken, with the pairs that it saw.
fn not_finite(step: u64, outcome: StepOutcome, rows: &str, run: &RunDir) -> String {
    let (StepOutcome { loss, grad_norm }, kept) = (outcome, run.last());
    let kept = if kept.exists() {
        format!("the last good state is kept in {}", kept.display())
    } else {
        "nothing was saved yet".to_owned()
    };
    format!(
        "step {step}: the loss is {loss} and the norm of its gradient {grad_norm}, so the step is not taken; {kept}; a smaller \
         train.learning_rate may help; {rows}"
    )
}

/// Seed of what a step draws: a function of the run's seed and the step alone, so that a step can be had again without
/// those before it. Source: the finalizer of SplitMix64, which leaves no two of neighbouring seeds alike.
fn step_seed(seed: u64, step: u64) -> u64 {
    let mut bits = seed.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Figures of the best checkpoint, read back from the disk, on each test set, and if there are several, on all merged.
fn test(
    run: &RunDir,
    datasets: &[Dataset],
    environment: &Environment,
    progress: &Progress,
) -> anyhow::Result<Vec<Evaluation>> {
    if datasets.is_empty() {
        return Ok(Vec::new());
    }
    environment.interrupt.end_at_once("the epochs are saved; go on by the same command with --resume")?;
    let best = saved_scorer(&run.best(), environment)?;
    let (mut evaluations, mut all) = (Vec::new(), Vec::new());
    for dataset in datasets {
        let scored = score_together(&*best, dataset, "test", &environment.ranks, progress)?;
        evaluations.push(Evaluation::new(&dataset.name, &scored));
        all.push(scored);
    }
    if all.len() > 1 {
        evaluations.push(Evaluation::new("merged", &Scored::merge(all)));
    }
    environment.interrupt.wait_for_check();
    Ok(evaluations)
}

//! Several runs that differ in a few keys, and the ranking of their epochs.

use std::{fmt, fs, path::PathBuf};

use anyhow::{Context, bail, ensure};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use data::command_line::Interrupted;
use serde::{Deserialize, Serialize};

use crate::{
    config::{Config, SelectBy},
    report::{Epoch, correlation},
    run_dir::{Existing, RunDir, write},
    trainer::{Environment, train},
    validation::DevFigures,
};

/// A configuration with trials: each is a run of its own in a folder of its name.
#[derive(Clone, Debug)]
pub struct Trials {
    /// Folder of the ranking and of the trials' run directories.
    pub output: PathBuf,
    /// The trials by name, in the order of the file.
    pub trials: Vec<(String, Config)>,
}

/// The epochs of all trials, best first. Its JSON form is `report.json` above the trials.
#[derive(Debug, Serialize)]
pub struct Ranking {
    #[serde(skip)]
    output: PathBuf,
    select_by: SelectBy,
    /// Best first; epochs whose figure is undefined come last.
    pub ranking: Vec<Ranked>,
    /// Trials that ended with an error.
    pub failed: Vec<Failed>,
}

/// An epoch of a trial.
#[derive(Clone, Debug, Serialize)]
pub struct Ranked {
    /// The trial's name.
    pub trial: String,
    /// Counted from 1.
    pub epoch: u32,
    /// The dev figure that it is ranked by.
    pub value: Option<f64>,
    /// Figures of every dev set; with several, the last is of all of them merged.
    pub dev: Vec<DevFigures>,
}

/// A trial that ended with an error.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// The trial's name.
    pub trial: String,
    /// Its error.
    pub error: String,
}

/// What the ranking needs of a run's `report.json`.
#[derive(Deserialize)]
struct Finished {
    epochs: Vec<Epoch>,
}

/// Runs the trials one after the other and writes their ranking after each. A trial that is finished is not run again,
/// one that was interrupted goes on, and one that fails does not keep the others from running.
pub fn run_trials(trials: &Trials, environment: &Environment) -> anyhow::Result<Ranking> {
    let select_by = trials.trials.first().context("no trial")?.1.select_by;
    if let Some((name, _)) = trials.trials.iter().find(|(_, config)| config.select_by != select_by) {
        bail!("trial `{name}` has a train.select_by of its own: one figure has to rank all trials");
    }
    let single = trials.output.join("metrics.jsonl");
    ensure!(!single.exists(), "{}: holds a single run, not trials; choose another output", trials.output.display());
    let mut ranking = Ranking { output: trials.output.clone(), select_by, ranking: Vec::new(), failed: Vec::new() };
    let count = trials.trials.len();
    for (index, (name, config)) in trials.trials.iter().enumerate() {
        environment.interrupt.check("the trials so far are kept; the same command goes on")?;
        eprintln!("trial {}/{count}: {name}", index + 1);
        match run_trial(config, environment) {
            Ok(epochs) => ranking.add(name, epochs),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                eprintln!("trial {name} failed: {error:#}");
                ranking.failed.push(Failed { trial: name.clone(), error: format!("{error:#}") });
            }
        }
        ranking.write()?;
    }
    Ok(ranking)
}

fn run_trial(config: &Config, environment: &Environment) -> anyhow::Result<Vec<Epoch>> {
    // A rerun of the whole loses nothing, so it needs no leave to go on.
    let existing = match environment.existing {
        Existing::Overwrite => Existing::Overwrite,
        Existing::Refuse | Existing::Resume => Existing::Resume,
    };
    let report = config.output.join("report.json");
    if existing == Existing::Resume && report.exists() && RunDir::holds(&config.output, &config.raw)? {
        eprintln!("{} is finished", config.output.display());
        let text = fs::read_to_string(&report).with_context(|| report.display().to_string())?;
        return Ok(serde_json::from_str::<Finished>(&text).with_context(|| report.display().to_string())?.epochs);
    }
    Ok(train(config, &Environment { existing, ..environment.clone() })?.epochs)
}

impl Ranking {
    fn add(&mut self, trial: &str, epochs: Vec<Epoch>) {
        self.ranking.extend(epochs.into_iter().map(|epoch| Ranked {
            trial: trial.to_owned(),
            epoch: epoch.epoch,
            value: epoch.dev.last().and_then(|figures| figures.figure(self.select_by)),
            dev: epoch.dev,
        }));
        let order = |a: &Ranked, b: &Ranked| match (a.value, b.value) {
            (Some(a), Some(b)) if self.select_by == SelectBy::Loss => a.total_cmp(&b),
            (Some(a), Some(b)) => b.total_cmp(&a),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        self.ranking.sort_by(order); // stable: of equals, the earlier trial and epoch comes first
    }

    fn write(&self) -> anyhow::Result<()> {
        write(&self.output.join("report.json"), &(serde_json::to_string_pretty(self)? + "\n"))?;
        write(&self.output.join("report.md"), &format!("# Trials `{}`\n\n{self}\n", self.output.display()))
    }

    /// The checkpoint of the best epoch of all.
    fn checkpoint(&self) -> Option<PathBuf> {
        self.ranking.first().map(|best| self.output.join(&best.trial).join("best"))
    }

    /// Fails if a trial did, so that a script notices.
    pub fn check(&self) -> anyhow::Result<()> {
        let names: Vec<&str> = self.failed.iter().map(|failed| failed.trial.as_str()).collect();
        ensure!(
            names.is_empty(),
            "failed trials: {} (see {})",
            names.join(", "),
            self.output.join("report.md").display()
        );
        Ok(())
    }
}

impl fmt::Display for Ranking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table
            .load_style(ASCII_MARKDOWN)
            .set_header(["rank", "trial", "epoch", "dev", "Pearson", "Spearman", "F1 ≥ 3", "loss"]);
        for (rank, entry) in self.ranking.iter().enumerate() {
            if let Some(dev) = entry.dev.last() {
                table.add_row([
                    (rank + 1).to_string(),
                    entry.trial.clone(),
                    entry.epoch.to_string(),
                    dev.data.clone(),
                    correlation(dev.pearson),
                    correlation(dev.spearman),
                    format!("{:.4}", dev.f1),
                    format!("{:.4}", dev.loss),
                ]);
            }
        }
        writeln!(f, "{table}\n")?;
        for Failed { trial, error } in &self.failed {
            writeln!(f, "Trial {trial} failed: {error}\n")?;
        }
        match (self.ranking.first(), self.checkpoint()) {
            (Some(best), Some(path)) => {
                let select_by = format!("{:?}", self.select_by).to_lowercase();
                write!(
                    f,
                    "Best by {select_by}: trial {}, epoch {} · checkpoint: {}",
                    best.trial,
                    best.epoch,
                    path.display()
                )
            }
            _ => write!(f, "No trial has an epoch."),
        }
    }
}

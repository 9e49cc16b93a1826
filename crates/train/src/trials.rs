//! Several runs that differ in a few keys, and the ranking of their epochs.

use std::{collections::BTreeSet, fmt, fs, iter, path::PathBuf};

use anyhow::{Context, bail, ensure};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use ground::command_line::Interrupted;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Table as Keys;

use crate::{
    config::Config,
    environment::{Environment, Existing},
    epoch::{Best, Epoch},
    figures::{DevFigures, SelectBy, shown},
    files::write,
    run_dir::RunDir,
    trainer::train,
};

/// A configuration with trials: each is a run of its own in a folder of its name.
#[derive(Clone, Debug)]
pub struct Trials {
    /// Folder of the ranking and of the trials' run directories.
    pub output: PathBuf,
    /// The trials in the order of the file.
    pub trials: Vec<Trial>,
}

/// One of several runs.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its name, and that of its folder.
    pub name: String,
    /// The keys of its `[[trial]]`, such as `train.learning_rate`.
    pub keys: Keys,
    /// The whole configuration.
    pub config: Config,
}

/// The epochs of all trials, best first. Its JSON form is `report.json` above the trials.
#[derive(Debug, Serialize)]
pub struct Ranking {
    #[serde(skip)]
    output: PathBuf,
    select_by: SelectBy,
    /// Best first; epochs whose figure is undefined come last.
    pub ranking: Vec<Ranked>,
    /// The trials so far, in the order of the file.
    pub trials: Vec<Outcome>,
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
    /// Digest of the dev sets; runs of older versions do not say.
    pub dev_sha256: Option<String>,
}

/// What became of a trial.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The trial's name.
    pub trial: String,
    /// The keys in which it differs from the others.
    pub keys: Keys,
    /// The epoch that its `best/` holds.
    pub best_epoch: Option<u32>,
    /// Figures of that epoch on the test sets, as the trial's own `report.json` has them.
    pub test: Vec<Value>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// What the ranking needs of a run's `report.json`.
#[derive(Deserialize)]
struct RunReport {
    epochs: Vec<Epoch>,
    best: Best,
    test: Vec<Value>,
    rows: RunRows,
}

#[derive(Default, Deserialize)]
struct RunRows {
    dev_sha256: Option<String>,
}

/// Runs the trials one after the other and writes their ranking after each. A trial that is finished is not run again,
/// one that was interrupted goes on, and one that fails does not keep the others from running.
pub fn run_trials(trials: &Trials, environment: &Environment) -> anyhow::Result<Ranking> {
    let select_by = trials.trials.first().context("no trial")?.config.select_by;
    if let Some(Trial { name, .. }) = trials.trials.iter().find(|trial| trial.config.select_by != select_by) {
        bail!("trial `{name}` has a train.select_by of its own: one figure has to rank all trials");
    }
    let single = trials.output.join("metrics.jsonl");
    ensure!(!single.exists(), "{}: holds a single run, not trials; choose another output", trials.output.display());
    let _lock = environment.lock(&trials.output)?;
    let mut ranking = Ranking { output: trials.output.clone(), select_by, ranking: Vec::new(), trials: Vec::new() };
    let count = trials.trials.len();
    for (index, trial) in trials.trials.iter().enumerate() {
        let name = &trial.name;
        environment.check("the trials so far are kept; the same command goes on")?;
        ground::say!("trial {}/{count}: {name}", index + 1);
        match run_trial(&trial.config, environment) {
            Ok(report) => ranking.add(trial, Some(report), None),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            // The other ranks may be in the middle of it.
            Err(error) if environment.ranks.count() > 1 => return Err(error),
            Err(error) => {
                // Why is told once, at the end: trials often fail all alike.
                ground::say!("trial {name} failed; see {}", trials.output.join("report.md").display());
                ranking.add(trial, before_failure(&trial.config), Some(format!("{error:#}")));
            }
        }
        if environment.ranks.is_first() {
            ranking.write()?;
        }
    }
    Ok(ranking)
}

fn run_trial(config: &Config, environment: &Environment) -> anyhow::Result<RunReport> {
    let existing = existing_run(environment);
    let report = config.output.join("report.json");
    if existing == Existing::Resume && report.exists() && RunDir::holds(&config.output, &config.raw)? {
        ground::say!("{} is finished", config.output.display());
    } else {
        train(config, &Environment { existing, ..environment.clone() })?;
    }
    let text = fs::read_to_string(&report).with_context(|| report.display().to_string())?;
    serde_json::from_str(&text).with_context(|| report.display().to_string())
}

/// What to do with a run of several that is there: a rerun of the whole loses nothing, so it needs no leave to go on.
pub(crate) fn existing_run(environment: &Environment) -> Existing {
    match environment.existing {
        Existing::Overwrite => Existing::Overwrite,
        Existing::Refuse | Existing::Resume => Existing::Resume,
    }
}

/// The epochs that a failed trial saved.
fn before_failure(config: &Config) -> Option<RunReport> {
    let state = RunDir::saved_state(&config.output, &config.raw).ok()??;
    let rows = RunRows { dev_sha256: state.dev_sha256 };
    (!state.epochs.is_empty()).then_some(RunReport { epochs: state.epochs, best: state.best, test: Vec::new(), rows })
}

/// By what epochs of one dev set are ranked: by what was asked for, or by the loss where none of them has that.
fn ranked_by(entries: &[Ranked], asked: SelectBy) -> SelectBy {
    if entries.iter().any(|entry| entry.value.is_some()) { asked } else { SelectBy::Loss }
}

impl Ranking {
    fn add(&mut self, trial: &Trial, report: Option<RunReport>, error: Option<String>) {
        let best_epoch = report.as_ref().map(|report| report.best.epoch);
        let (epochs, test, RunRows { dev_sha256 }) =
            report.map(|report| (report.epochs, report.test, report.rows)).unwrap_or_default();
        self.trials.push(Outcome { trial: trial.name.clone(), keys: trial.keys.clone(), best_epoch, test, error });
        // What the model was before the first step is no epoch of the trial's.
        let trained = epochs.into_iter().filter(|epoch| epoch.epoch > 0);
        self.ranking.extend(trained.map(|epoch| Ranked {
            trial: trial.name.clone(),
            epoch: epoch.epoch,
            value: epoch.dev.last().and_then(|figures| figures.figure(self.select_by)),
            dev: epoch.dev,
            dev_sha256: dev_sha256.clone(),
        }));
        // Epochs of one dev set stand together, in the order of the trials; each set's are ranked by themselves.
        let mut sets: Vec<Option<String>> = Vec::new();
        for entry in &self.ranking {
            if !sets.contains(&entry.dev_sha256) {
                sets.push(entry.dev_sha256.clone());
            }
        }
        let mut all = std::mem::take(&mut self.ranking);
        for set in sets {
            let (mut own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|entry| entry.dev_sha256 == set);
            let by = ranked_by(&own, self.select_by);
            let value = |entry: &Ranked| entry.dev.last().and_then(|figures| figures.figure(by));
            // Stable: of equals, the earlier trial and epoch comes first.
            own.sort_by(|a, b| match (value(a), value(b)) {
                (Some(a), Some(b)) if by == SelectBy::Loss => a.total_cmp(&b),
                (Some(a), Some(b)) => b.total_cmp(&a),
                (a, b) => b.is_some().cmp(&a.is_some()),
            });
            self.ranking.extend(own);
            all = others;
        }
    }

    fn write(&self) -> anyhow::Result<()> {
        write(&self.output.join("report.json"), &(serde_json::to_string_pretty(self)? + "\n"))?;
        let (output, keys, tests) = (self.output.display(), self.keys_table(), self.test_table());
        let mut text = format!("# Trials `{output}`\n\n{self}\n\n## Keys of the trials\n\n{keys}\n");
        if !tests.is_empty() {
            let brackets = "Brackets hold 95 % bootstrap intervals.";
            text += &format!("\n## Test figures of each trial's best epoch\n\n{brackets}\n\n{tests}\n");
        }
        let link = |outcome: &Outcome| format!("[{0}]({0}/report.md)", outcome.trial);
        let reports: Vec<String> = self.trials.iter().filter(|outcome| !outcome.test.is_empty()).map(link).collect();
        if !reports.is_empty() {
            let what = "Settings, data, the figures of every set, time and machine of each trial";
            text += &format!("\n{what}: {}.\n", reports.join(", "));
        }
        write(&self.output.join("report.md"), &text)
    }

    /// A row for each trial, a column for each key that any of them has.
    fn keys_table(&self) -> Table {
        let columns: BTreeSet<&String> = self.trials.iter().flat_map(|outcome| outcome.keys.keys()).collect();
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN).set_header(iter::once("trial").chain(columns.iter().map(|key| key.as_str())));
        for Outcome { trial, keys, .. } in &self.trials {
            let value = |key: &&String| keys.get(*key).map_or(String::new(), |value| format!("`{}`", value));
            table.add_row(iter::once(trial.clone()).chain(columns.iter().map(value)));
        }
        table
    }

    /// A row for each trial and test set.
    fn test_table(&self) -> Table {
        let mut table = Table::new();
        let header = ["trial", "epoch", "test", "pairs", "Pearson", "Spearman", "F1 ≥ 3.0"];
        table.load_style(ASCII_MARKDOWN).set_header(header);
        for outcome in &self.trials {
            for test in &outcome.test {
                let figure = |path: String| test.pointer(&path).and_then(Value::as_f64);
                let with_interval = |name: &str, value: &str| {
                    let [low, high] = [0, 1].map(|end| figure(format!("/{name}/ci95/{end}")));
                    let interval = low.zip(high).map_or(String::new(), |(low, high)| format!(" [{low:.4}, {high:.4}]"));
                    shown(figure(format!("/{name}/{value}"))) + &interval
                };
                table.add_row([
                    outcome.trial.clone(),
                    outcome.best_epoch.map_or(String::new(), |epoch| epoch.to_string()),
                    test["data"].as_str().unwrap_or_default().to_owned(),
                    test["pairs"].to_string(),
                    with_interval("pearson", "r"),
                    with_interval("spearman", "rho"),
                    shown(figure("/f1".to_owned())),
                ]);
            }
        }
        table
    }

    /// The trials that failed, by their error.
    fn failed(&self) -> Vec<(&str, Vec<&str>)> {
        let mut failed = Vec::<(&str, Vec<&str>)>::new();
        for Outcome { trial, error, .. } in &self.trials {
            let Some(error) = error else { continue };
            match failed.iter_mut().find(|(other, _)| other == error) {
                Some((_, trials)) => trials.push(trial),
                None => failed.push((error, vec![trial])),
            }
        }
        failed
    }

    /// The epochs of each dev set, best first.
    fn by_dev_set(&self) -> impl Iterator<Item = &[Ranked]> {
        self.ranking.chunk_by(|entry, next| entry.dev_sha256 == next.dev_sha256)
    }

    /// The epochs of one dev set as a table.
    fn table(&self, entries: &[Ranked]) -> Table {
        let mut table = Table::new();
        let figures = entries.first().and_then(|best| best.dev.last()).map_or(&[][..], |dev| dev.figures());
        let headers = figures.iter().map(|figure| figure.header);
        table.load_style(ASCII_MARKDOWN).set_header(["rank", "trial", "epoch", "dev"].into_iter().chain(headers));
        let failed = self.failed();
        for (rank, entry) in entries.iter().enumerate() {
            let is_failed = failed.iter().any(|(_, trials)| trials.contains(&entry.trial.as_str()));
            if let Some(dev) = entry.dev.last() {
                let place = [
                    (rank + 1).to_string(),
                    format!("{}{}", entry.trial, if is_failed { " (failed)" } else { "" }),
                    entry.epoch.to_string(),
                    dev.data.clone(),
                ];
                table.add_row(place.into_iter().chain(figures.iter().map(|figure| shown((figure.value)(dev)))));
            }
        }
        table
    }

    /// The best epoch of one dev set, in words.
    fn best(&self, entries: &[Ranked]) -> String {
        let Some(best) = entries.first() else { return "No trial has an epoch.".to_owned() };
        let by = match ranked_by(entries, self.select_by) {
            by if by == self.select_by => by.to_string(),
            by => format!("{by}, since no epoch has the figure {}", self.select_by),
        };
        let checkpoint = self.output.join(&best.trial).join("best");
        format!("Best by {by}: trial {}, epoch {} · checkpoint: {}", best.trial, best.epoch, checkpoint.display())
    }

    /// Fails if a trial did, so that a script notices.
    pub fn check(&self) -> anyhow::Result<()> {
        let failed = self.failed();
        let names: Vec<&str> = failed.iter().flat_map(|(_, trials)| trials).copied().collect();
        match failed.as_slice() {
            [] => Ok(()),
            [(error, trials)] if trials.len() == self.trials.len() => bail!("every trial failed: {error}"),
            _ => bail!("failed trials: {} (see {})", names.join(", "), self.output.join("report.md").display()),
        }
    }
}

impl fmt::Display for Ranking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.by_dev_set().count();
        if count > 1 {
            writeln!(
                f,
                "The trials have {count} different dev sets. Figures of different sets are not ranked together: \
                 trials that share data.split_seed, data.dev and data.train have the same.\n"
            )?;
        }
        for (number, entries) in self.by_dev_set().enumerate() {
            if count > 1 {
                writeln!(f, "Dev set {} of {count}:\n", number + 1)?;
            }
            writeln!(f, "{}\n", self.table(entries))?;
            if count > 1 {
                writeln!(f, "{}\n", self.best(entries))?;
            }
        }
        for (error, trials) in self.failed() {
            writeln!(f, "Failed: {}: {error}\n", trials.join(", "))?;
        }
        match count {
            0 | 1 => write!(f, "{}", self.best(&self.ranking)),
            _ => write!(f, "No trial is the best of all."),
        }
    }
}

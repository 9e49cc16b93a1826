//! The directory of a run: its configuration, its log, its checkpoints and its report.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use ground::{Lock, recover};
use model::{
    replace_dir,
    weights::{read_safetensors, write_safetensors},
};
use toml::{Table, Value};

use crate::{
    config::RawConfig,
    curves,
    entries::{CHECKPOINTS, EVENTS, FILES, PREPARED, STATE, is_owned, is_rest},
    environment::Existing,
    epoch::Epoch,
    files::write,
    log::{self, Entry, StepPoint},
    optimizer::AdamW,
    report::Report,
    state::TrainerState,
    task::Task,
    tensorboard::EventWriter,
};

/// A run directory under way.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    records: Option<Records>, // of the rank that writes
}

/// What grows with the run.
#[derive(Debug)]
struct Records {
    log: File,
    events: EventWriter,
}

/// Keys that may differ between a run and its continuation, since they change nothing that is computed.
const FREE_KEYS: [&str; 3] = ["output", "train.log_every_steps", "train.save_every_steps"];

impl RunDir {
    /// Fails if a run cannot be put under `path`; changes nothing.
    pub(crate) fn check(path: &Path, existing: Existing) -> anyhow::Result<()> {
        let name = path.display();
        if !path.exists() {
            return Ok(());
        }
        ensure!(path.is_dir(), "{name}: exists and is no directory; choose another output");
        // A lock is no content: it is this process's, or a dead one's.
        let is_content = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.file_name() != Lock::NAME);
        if fs::read_dir(path).with_context(|| name.to_string())?.any(is_content) {
            // A run that ended while it was begun may have left any part of what it owns.
            let holds_run = path.join("config.toml").exists() || holds_nothing_else(path)?;
            ensure!(holds_run, "{name}: is not empty and holds no run; choose another output");
            ensure!(
                existing != Existing::Refuse,
                "{name}: holds a run already{}: --resume goes on with it, --overwrite begins anew, and another --output leaves it \
                 alone",
                progress_of(path)
            );
        }
        Ok(())
    }

    /// Whether the directory holds a run with this configuration; fails where it holds one with another.
    pub(crate) fn holds(path: &Path, config: &RawConfig) -> anyhow::Result<bool> {
        let config_path = path.join("config.toml");
        if !config_path.exists() {
            return Ok(false);
        }
        let text = fs::read_to_string(&config_path).with_context(|| config_path.display().to_string())?;
        let old: Table = toml::from_str(&text).with_context(|| config_path.display().to_string())?;
        let mut new = Table::try_from(config).context("the configuration cannot be written as TOML")?;
        if config.data.split_seed_is_default && split_seed_of_older(&old).is_some() {
            new.get_mut("data").and_then(Value::as_table_mut).map(|data| data.remove("split_seed"));
        }
        if let Some(what) = difference("", &Value::Table(old), &Value::Table(new)) {
            bail!(
                "{}: {what}; a run goes on with the configuration that it began with: choose another output, or remove {} to begin it \
                 anew",
                config_path.display(),
                path.display()
            );
        }
        Ok(true)
    }

    /// The seed by which the run in a directory drew its dev set, where it is of a version in which that was the run's own.
    pub(crate) fn split_seed_of_older(path: &Path) -> Option<u64> {
        let text = fs::read_to_string(path.join("config.toml")).ok()?;
        split_seed_of_older(&toml::from_str(&text).ok()?)
    }

    /// Where a run is to be resumed and has saved a state, that state.
    pub(crate) fn saved_state(path: &Path, config: &RawConfig) -> anyhow::Result<Option<TrainerState>> {
        if !Self::holds(path, config)? {
            return Ok(None);
        }
        for name in CHECKPOINTS {
            recover(&path.join(name))?;
        }
        let state_path = path.join("last").join(STATE);
        if !state_path.exists() {
            return Ok(None); // ended before its first state was saved
        }
        model::verify(&path.join("last"))?;
        let text = fs::read_to_string(&state_path).with_context(|| state_path.display().to_string())?;
        Ok(Some(serde_json::from_str(&text).with_context(|| state_path.display().to_string())?))
    }

    /// Whether the directory holds a run with this configuration that has taken no step yet: one that ended while its data
    /// were made. Going on with it loses nothing.
    pub(crate) fn is_prepared_alone(path: &Path, config: &RawConfig) -> bool {
        let has_begun = CHECKPOINTS.iter().any(|name| path.join(name).exists());
        let has_log = fs::metadata(path.join("metrics.jsonl")).is_ok_and(|log| log.len() > 0);
        !has_begun && !has_log && Self::holds(path, config).unwrap_or(false)
    }

    /// Removes a run, if the directory holds one.
    pub(crate) fn discard(path: &Path) -> anyhow::Result<()> {
        if path.exists() {
            Self::check(path, Existing::Overwrite)?;
            remove_run(path, false)?;
        }
        Ok(())
    }

    /// The directory of a run that another rank writes: what is saved or logged here goes nowhere.
    pub(crate) fn of_another(path: &Path) -> Self {
        Self { path: path.to_owned(), records: None }
    }

    /// Makes the directory for a new run, in the place of a run that stood there; what was made for a run of the same
    /// configuration before its first step stays.
    pub(crate) fn create(path: &Path, config: &RawConfig, keep_prepared: bool) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("{}: the run directory cannot be made", path.display()))?;
        remove_run(path, keep_prepared)?;
        // First the configuration: a directory that has it is known as a run's.
        let text = toml::to_string(config).context("the configuration cannot be written as TOML")?;
        write(&path.join("config.toml"), &text)?;
        let log_path = path.join("metrics.jsonl");
        let log = File::create(&log_path).with_context(|| log_path.display().to_string())?;
        let events = EventWriter::create(&path.join(EVENTS))?;
        Ok(Self { path: path.to_owned(), records: Some(Records { log, events }) })
    }

    /// Opens the directory of a run that goes on from `state`, and takes back what its log says beyond that.
    pub(crate) fn reopen(path: &Path, state: &TrainerState) -> anyhow::Result<Self> {
        discard_rests(path)?;
        let log_path = path.join("metrics.jsonl");
        let open = || -> io::Result<File> {
            let mut log = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&log_path)?;
            let length = log.metadata()?.len();
            if length < state.log_bytes {
                // Somebody has cut it, and what it said is lost; the run needs none of it.
                ground::say!(
                    "warning: {}: {length} bytes, where the run had written {}: its curves lack what is gone",
                    log_path.display(),
                    state.log_bytes
                );
                let mut text = Vec::new();
                log.read_to_end(&mut text)?;
                let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
                log.set_len(whole as u64)?;
            } else {
                log.set_len(state.log_bytes)?;
            }
            log.seek(SeekFrom::End(0))?;
            Ok(log)
        };
        let log = open().with_context(|| log_path.display().to_string())?;
        // The events again from the log, so that the two agree whatever was written last.
        remove(&path.join(EVENTS))?;
        let mut events = EventWriter::create(&path.join(EVENTS))?;
        for entry in log::read(&log_path)? {
            match entry {
                Entry::Step(point) => events.step(&point)?,
                Entry::Epoch(epoch) => events.epoch(&epoch)?,
            }
        }
        Ok(Self { path: path.to_owned(), records: Some(Records { log, events }) })
    }

    /// The checkpoint of the best epoch.
    pub(crate) fn best(&self) -> PathBuf {
        self.path.join("best")
    }

    /// The checkpoint of the last saved state, with what resuming needs.
    pub(crate) fn last(&self) -> PathBuf {
        self.path.join("last")
    }

    /// Logs some steps.
    pub(crate) fn log_steps(&mut self, point: StepPoint) -> anyhow::Result<()> {
        let Some(records) = &mut self.records else { return Ok(()) };
        records.events.step(&point)?;
        self.log(&Entry::Step(point))
    }

    /// Logs an epoch.
    pub(crate) fn log_epoch(&mut self, epoch: &Epoch) -> anyhow::Result<()> {
        let Some(records) = &mut self.records else { return Ok(()) };
        records.events.epoch(epoch)?;
        self.log(&Entry::Epoch(epoch.clone()))
    }

    fn log(&mut self, entry: &Entry) -> anyhow::Result<()> {
        let Some(Records { log, .. }) = &mut self.records else { return Ok(()) };
        let text = serde_json::to_string(entry)? + "\n";
        log.write_all(text.as_bytes()).with_context(|| self.path.join("metrics.jsonl").display().to_string())
    }

    /// Length of the log, once it has reached the disk.
    pub(crate) fn log_bytes(&mut self) -> anyhow::Result<u64> {
        let Some(Records { log, .. }) = &mut self.records else { return Ok(0) };
        let length = log.sync_data().and_then(|()| log.stream_position());
        length.with_context(|| self.path.join("metrics.jsonl").display().to_string())
    }

    /// Fails where the checkpoint of the best epoch is not there as it was written: nothing else holds those weights.
    pub(crate) fn check_best(&self, report: &Report) -> anyhow::Result<()> {
        let (best, is_trained) = (self.best(), report.best.epoch > 0);
        if self.records.is_none() || !is_trained {
            return Ok(());
        }
        ensure!(
            best.join("manifest.json").exists(),
            "{}: the checkpoint of the best epoch, {}, is not there, and the last state has other weights: put it back, or begin the \
             run anew by --overwrite",
            best.display(),
            report.best.epoch
        );
        Ok(model::verify(&best)?)
    }

    /// Saves the checkpoint of the best epoch.
    pub(crate) fn save_best(&self, task: &dyn Task, card: &str) -> anyhow::Result<()> {
        if self.records.is_none() {
            return Ok(());
        }
        Ok(replace_dir(&self.best(), |dir| task.write(dir, card))?)
    }

    /// Saves the last state: a checkpoint, the optimizer's moments, and where the run stands.
    pub(crate) fn save_last(
        &self,
        task: &dyn Task,
        card: &str,
        optimizer: &AdamW,
        state: &TrainerState,
    ) -> anyhow::Result<()> {
        if self.records.is_none() {
            return Ok(());
        }
        replace_dir(&self.last(), |dir| {
            task.write(dir, card)?;
            write_safetensors(&dir.join("optimizer.safetensors"), &optimizer.state())?;
            write(&dir.join(STATE), &(serde_json::to_string_pretty(state)? + "\n"))
        })?;
        remove(&self.path.join(PREPARED)) // a run that goes on from here has no need of it
    }

    /// Saves where the run stands, with the weights and moments that the last state has already.
    pub(crate) fn save_state(&self, card: &str, state: &TrainerState) -> anyhow::Result<()> {
        if self.records.is_none() {
            return Ok(());
        }
        let last = self.last();
        replace_dir(&last, |dir| {
            link_all(&last, dir)?;
            for (name, text) in [("README.md", card.to_owned()), (STATE, serde_json::to_string_pretty(state)? + "\n")] {
                remove(&dir.join(name))?; // the link, not what it leads to
                write(&dir.join(name), &text)?;
            }
            remove(&dir.join("manifest.json")) // is made anew
        })
    }

    /// Takes up the moments of the last saved state.
    pub(crate) fn restore(&self, optimizer: &mut AdamW, state: &TrainerState) -> anyhow::Result<()> {
        let path = self.last().join("optimizer.safetensors");
        optimizer.restore(read_safetensors(&path)?, state.step).with_context(|| path.display().to_string())
    }

    /// Writes `report.json`, `report.md` and `curves.svg`.
    pub(crate) fn write_report(&self, report: &Report, loss: &str) -> anyhow::Result<()> {
        if self.records.is_none() {
            return Ok(());
        }
        let steps = log::read_steps(&self.path.join("metrics.jsonl"))?;
        let run = self.path.display().to_string();
        curves::write(&self.path.join("curves.svg"), &run, loss, &steps, &report.epochs, report.best)?;
        write(&self.path.join("report.md"), &report.to_markdown())?;
        write(&self.path.join("report.json"), &report.to_json()?) // last: a run that has it is finished
    }
}

/// Puts every file below a directory under the same name below another, without copying it where the file system can.
fn link_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry.with_context(|| from.display().to_string())?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            fs::create_dir(&target).with_context(|| target.display().to_string())?;
            link_all(&source, &target)?;
        } else if fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target).with_context(|| target.display().to_string())?;
        }
    }
    Ok(())
}

fn split_seed_of_older(config: &Table) -> Option<u64> {
    let data = config.get("data")?.as_table()?;
    let is_older = data.contains_key("dev_fraction") && !data.contains_key("split_seed");
    config.get("seed")?.as_integer().filter(|_| is_older)?.try_into().ok()
}

/// The first key whose value differs, with both values.
fn difference(path: &str, old: &Value, new: &Value) -> Option<String> {
    if FREE_KEYS.contains(&path) || old == new {
        return None;
    }
    let (Value::Table(old), Value::Table(new)) = (old, new) else {
        return Some(format!("{path} was {old} and is {new}"));
    };
    old.keys().chain(new.keys()).find_map(|key| {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) => difference(&path, old, new),
            _ if FREE_KEYS.contains(&path.as_str()) => None,
            (Some(old), None) => Some(format!("{path} was {old} and is not given")),
            (None, new) => new.map(|new| format!("{path} was not given and is {new}")),
        }
    })
}

/// Whether every entry of a directory is a run's own.
fn holds_nothing_else(path: &Path) -> anyhow::Result<bool> {
    let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
    let mut names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let all = names.try_fold(true, |all, name| name.map(|name| all && is_owned(&name.to_string_lossy())));
    all.with_context(|| path.display().to_string())
}

fn discard_rests(path: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry.with_context(|| path.display().to_string())?;
        if is_rest(&entry.file_name().to_string_lossy()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes what a run owns, its configuration last: as long as that is there, the directory is known as a run's.
fn remove_run(path: &Path, keep_prepared: bool) -> anyhow::Result<()> {
    discard_rests(path)?;
    let (config, others) = FILES.split_first().expect("a run owns files");
    for name in others.iter().chain(&CHECKPOINTS).chain(&[EVENTS, PREPARED, config]) {
        if *name != PREPARED || !keep_prepared {
            remove(&path.join(name))?;
        }
    }
    Ok(())
}

/// How far the run in a directory has come, in brackets.
fn progress_of(path: &Path) -> String {
    let state = fs::read_to_string(path.join("last").join(STATE)).ok();
    let state = state.and_then(|text| serde_json::from_str::<TrainerState>(&text).ok());
    match state {
        _ if path.join("report.json").exists() => " (finished)".to_owned(),
        Some(state) => format!(" (step {})", state.step),
        None => String::new(),
    }
}

/// Removes a file or a directory, if it is there.
fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).with_context(|| path.display().to_string()),
        _ => Ok(()),
    }
}

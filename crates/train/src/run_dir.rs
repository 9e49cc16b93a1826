//! The directory of a run: its configuration, its log, its checkpoints and its report.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use data::Staged;
use model::{SentenceEncoder, atomic::replace_dir, weights::write_safetensors};
use serde::Serialize;

use crate::{
    config::RawConfig,
    optimizer::AdamW,
    report::{Best, Epoch, Report},
};

/// A run directory under way.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    log: File,
}

/// Where a run stands, beside weights and moments.
#[derive(Debug, Serialize)]
pub(crate) struct TrainerState {
    pub(crate) epoch: u32,
    pub(crate) step: u64,
    pub(crate) best: Best,
}

/// What a run owns in its directory; other files there are never touched.
const FILES: [&str; 4] = ["config.toml", "metrics.jsonl", "report.json", "report.md"];
const CHECKPOINTS: [&str; 2] = ["best", "last"];

impl RunDir {
    /// Fails if a run cannot be put under `path`; changes nothing.
    pub(crate) fn check(path: &Path, overwrite: bool) -> anyhow::Result<()> {
        let name = path.display();
        if !path.exists() {
            return Ok(());
        }
        ensure!(path.is_dir(), "{name}: exists and is no directory; choose another output");
        let mut entries = fs::read_dir(path).with_context(|| name.to_string())?;
        if entries.next().is_some() {
            let holds_run = path.join("config.toml").exists() && path.join("metrics.jsonl").exists();
            ensure!(holds_run, "{name}: is not empty and holds no run; choose another output");
            ensure!(
                overwrite,
                "{name}: holds another run; choose another --output, or give --overwrite to replace that run"
            );
        }
        Ok(())
    }

    /// Makes the directory, in the place of the run that stood there.
    pub(crate) fn create(path: &Path, overwrite: bool, config: &RawConfig) -> anyhow::Result<Self> {
        Self::check(path, overwrite)?;
        fs::create_dir_all(path).with_context(|| path.display().to_string())?;
        remove_run(path)?;
        let text = toml::to_string(config).context("the configuration cannot be written as TOML")?;
        write(&path.join("config.toml"), &text)?;
        let log_path = path.join("metrics.jsonl");
        let log = File::create(&log_path).with_context(|| log_path.display().to_string())?;
        Ok(Self { path: path.to_owned(), log })
    }

    /// The checkpoint of the best epoch.
    pub(crate) fn best(&self) -> PathBuf {
        self.path.join("best")
    }

    /// The checkpoint of the last epoch, with what resuming needs.
    pub(crate) fn last(&self) -> PathBuf {
        self.path.join("last")
    }

    /// Appends one object to `metrics.jsonl`.
    pub(crate) fn log(&mut self, entry: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(entry)? + "\n";
        self.log.write_all(text.as_bytes()).with_context(|| self.path.join("metrics.jsonl").display().to_string())
    }

    /// Saves the checkpoint of the best epoch.
    pub(crate) fn save_best(&self, encoder: &SentenceEncoder, card: &str) -> anyhow::Result<()> {
        Ok(encoder.save(self.best(), card)?)
    }

    /// Saves the last state: a checkpoint, the optimizer's moments, and where the run stands.
    pub(crate) fn save_last(
        &self,
        encoder: &SentenceEncoder,
        card: &str,
        optimizer: &AdamW,
        state: &TrainerState,
    ) -> anyhow::Result<()> {
        replace_dir(&self.last(), |dir| {
            encoder.write(dir, card)?;
            write_safetensors(&dir.join("optimizer.safetensors"), &optimizer.state())?;
            write(&dir.join("trainer_state.json"), &(serde_json::to_string_pretty(state)? + "\n"))
        })
    }

    /// Appends an epoch to `metrics.jsonl`, its figures beside `"event": "epoch"`.
    pub(crate) fn log_epoch(&mut self, epoch: &Epoch) -> anyhow::Result<()> {
        #[derive(Serialize)]
        struct Entry<'a> {
            event: &'static str,
            #[serde(flatten)]
            epoch: &'a Epoch,
        }
        self.log(&Entry { event: "epoch", epoch })
    }

    /// Writes `report.json` and `report.md`.
    pub(crate) fn write_report(&self, report: &Report) -> anyhow::Result<()> {
        write(&self.path.join("report.json"), &report.to_json()?)?;
        write(&self.path.join("report.md"), &report.to_markdown())
    }
}

fn remove_run(path: &Path) -> anyhow::Result<()> {
    let files = FILES.into_iter().map(|name| (name, fs::remove_file as fn(PathBuf) -> io::Result<()>));
    let checkpoints = CHECKPOINTS.into_iter().map(|name| (name, fs::remove_dir_all as fn(PathBuf) -> io::Result<()>));
    for (name, remove) in files.chain(checkpoints) {
        match remove(path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| path.join(name).display().to_string());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut staged = Staged::create(path)?;
    staged.file().write_all(text.as_bytes()).map_err(|cause| staged.failed(cause))?;
    Ok(staged.commit(true)?)
}

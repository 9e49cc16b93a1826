//! Runs one after the other, most of them from the best checkpoint of one before.

use std::{
    fmt, fs,
    path::{self, Path, PathBuf},
};

use anyhow::{Context, ensure};
use model::{
    Options, TrainableCrossEncoder, TrainableEncoder, holds_cross_encoder,
    hub::{self, Hub},
};
use tch::Kind;

use crate::{
    card,
    config::{Config, ExportWeights},
    datasets,
    environment::{Environment, Existing},
    run_dir::RunDir,
    trainer::train,
    trials::{Trial, existing_run},
};

/// A configuration with stages: each is a run of its own in a folder of its name.
#[derive(Clone, Debug)]
pub struct Stages {
    /// Folder of the stages' run directories.
    pub output: PathBuf,
    /// The stages in their order.
    pub stages: Vec<Trial>,
    /// What to leave of the last.
    pub export: Option<Export>,
}

/// A checkpoint to be handed on.
#[derive(Clone, Debug)]
pub struct Export {
    /// Its directory, which is replaced.
    pub path: PathBuf,
    /// Number format of its weights.
    pub weights: ExportWeights,
    /// Its model card; without one, it is that of the last stage.
    pub card: Option<PathBuf>,
}

/// What the stages left.
#[derive(Debug)]
pub struct Finished {
    checkpoint: PathBuf,
    report: PathBuf,
}

/// Runs the stages. One that is finished is not run again, and one that was interrupted goes on.
///
/// # Errors
/// Where a stage fails, or what is to be exported would take the place of something else.
pub fn run_stages(stages: &Stages, environment: &Environment) -> anyhow::Result<Finished> {
    let count = stages.stages.len();
    let single = stages.output.join("metrics.jsonl");
    ensure!(!single.exists(), "{}: holds a single run, not stages; choose another output", stages.output.display());
    // Now, and not after hours.
    let card = match &stages.export {
        Some(export) => export.check(&stages.output)?,
        None => None,
    };
    environment.interrupt.end_at_once("nothing was changed; run the same command again")?;
    stages.find_sources(environment)?;
    let _lock = environment.lock(&stages.output)?;
    environment.interrupt.wait_for_check();
    for (index, Trial { name, config, .. }) in stages.stages.iter().enumerate() {
        environment.check("the stages so far are kept; the same command goes on")?;
        ground::say!("stage {}/{count}: {name}", index + 1);
        let later = &stages.stages[index + 1..];
        run_stage(config, later, environment).with_context(|| format!("stage `{name}`"))?;
    }
    let last = stages.stages.last().context("no stage")?;
    let (best, report) = (last.config.output.join("best"), last.config.output.join("report.md"));
    let Some(export) = &stages.export else { return Ok(Finished { checkpoint: best, report }) };
    if !environment.ranks.is_first() {
        return Ok(Finished { checkpoint: export.path.clone(), report });
    }
    let card = match card {
        Some(card) => card,
        None => {
            let card = fs::read_to_string(best.join("README.md")).with_context(|| best.display().to_string())?;
            card::moved(&card, &best, &export.path)
        }
    };
    let kind = match export.weights {
        ExportWeights::F16 => Kind::Half,
        ExportWeights::Bf16 => Kind::BFloat16,
        ExportWeights::F32 => Kind::Float,
    };
    let saved = match holds_cross_encoder(&best) {
        true => TrainableCrossEncoder::load_saved(&best, &Options::default())?.save_as(&export.path, &card, kind),
        false => TrainableEncoder::load(&best, &Options::default())?.save_as(&export.path, &card, kind),
    };
    saved.with_context(|| format!("export.path {}", export.path.display()))?;
    Ok(Finished { checkpoint: export.path.clone(), report })
}

impl Export {
    /// The model card that is named. Fails where it cannot be read, the path holds something that is no checkpoint, or the
    /// folder that it is to lie in cannot be made.
    fn check(&self, output: &Path) -> anyhow::Result<Option<String>> {
        let path = self.path.display();
        let absolute = |path: &Path| path::absolute(path).with_context(|| path.display().to_string());
        let (export, output) = (absolute(&self.path)?, absolute(output)?);
        ensure!(
            !export.starts_with(&output) && !output.starts_with(&export),
            "export.path {path} and the output {} lie within each other: choose another path",
            output.display()
        );
        let is_empty = || fs::read_dir(&export).is_ok_and(|mut entries| entries.next().is_none());
        ensure!(
            !export.exists() || export.join("manifest.json").exists() || is_empty(),
            "export.path {path} exists and is no checkpoint: choose another path"
        );
        let read = |card: &PathBuf| fs::read_to_string(card).with_context(|| format!("export.card {}", card.display()));
        let card = self.card.as_ref().map(read).transpose()?;
        let parent = export.parent().unwrap_or(&export);
        fs::create_dir_all(parent)
            .with_context(|| format!("export.path {path}: cannot make the folder {}", parent.display()))?;
        Ok(card)
    }
}

impl Stages {
    /// Finds the sets and models of the stages that are to be run; a model of the hub is downloaded.
    ///
    /// # Errors
    /// Where one is not there, and is not what a stage before leaves.
    fn find_sources(&self, environment: &Environment) -> anyhow::Result<()> {
        let is_below = |path: &Path, outputs: &[PathBuf]| {
            path::absolute(path).is_ok_and(|path| outputs.iter().any(|output| path.starts_with(output)))
        };
        let (mut names, mut made, mut anew) = (Vec::new(), Vec::new(), Vec::new()); // of the stages before
        for Trial { name, config, .. } in &self.stages {
            let output = path::absolute(&config.output)?;
            let is_kept = existing_run(environment) == Existing::Resume && is_finished(config);
            if !is_kept || config.models().any(|model| is_below(model, &anew)) {
                let is_made = |spec: &str| is_below(&environment.data_dir.resolve(spec), &made);
                datasets::find(config, &environment.data_dir, is_made).with_context(|| format!("stage `{name}`"))?;
                for model in config.models().filter(|model| !is_below(model, &made)) {
                    let found = Hub::from_env().resolve(model, &mut hub::on_stderr());
                    found.with_context(|| match names[..] {
                        [] => format!("stage `{name}`"),
                        _ => format!("stage `{name}`: no stage before it ({}) has this name", names.join(", ")),
                    })?;
                }
                anew.push(output.clone());
            }
            made.push(output);
            names.push(name.as_str());
        }
        Ok(())
    }
}

fn is_finished(config: &Config) -> bool {
    config.output.join("report.json").exists()
}

fn run_stage(config: &Config, later: &[Trial], environment: &Environment) -> anyhow::Result<()> {
    let existing = existing_run(environment);
    if existing == Existing::Resume && is_finished(config) && RunDir::holds(&config.output, &config.raw)? {
        ground::say!("{} is finished", config.output.display());
        return Ok(());
    }
    // Later runs that began from this stage's old checkpoint are stale.
    let stale = stale(config, later)?;
    let kept: Vec<&str> =
        stale.iter().filter(|stage| stage.config.output.exists()).map(|stage| stage.name.as_str()).collect();
    ensure!(
        kept.is_empty() || existing == Existing::Overwrite,
        "{} holds no finished run, and {} began from what it held: put it back, or remove those too to train them anew (--overwrite \
         trains all stages anew)",
        config.output.display(),
        kept.join(", ")
    );
    environment.ranks.wait(); // until all have seen it
    if environment.ranks.is_first() {
        stale.iter().try_for_each(|stage| RunDir::discard(&stage.config.output))?;
    }
    let report = train(config, &Environment { existing, ..environment.clone() })?;
    ground::say!("{report}\n");
    Ok(())
}

/// The later stages that go on from one, through however many between.
fn stale<'a>(config: &Config, later: &'a [Trial]) -> anyhow::Result<Vec<&'a Trial>> {
    let (mut outputs, mut stale) = (vec![path::absolute(&config.output)?], Vec::new());
    for stage in later {
        let mut models = stage.config.models().filter_map(|model| path::absolute(model).ok());
        if models.any(|model| outputs.iter().any(|output| model.starts_with(output))) {
            outputs.push(path::absolute(&stage.config.output)?);
            stale.push(stage);
        }
    }
    Ok(stale)
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checkpoint: {} · report of the last stage: {}", self.checkpoint.display(), self.report.display())
    }
}

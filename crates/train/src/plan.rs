//! What a configuration file asks for: one run, trials, or stages.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use crate::{
    config::{Config, Member, RawConfig, RawTrial},
    stages::{Export, Stages},
    trials::{Trial, Trials},
};

/// What a configuration file asks for.
#[derive(Clone, Debug)]
pub enum Plan {
    /// One run.
    Run(Box<Config>),
    /// One run for each `[[trial]]`.
    Trials(Trials),
    /// One run for each `[[stage]]`, each from one before it or anew.
    Stages(Stages),
}

impl Plan {
    /// Reads a TOML file, replaces keys by `overrides` of the form `train.epochs=2`, and validates the result.
    pub fn load(path: &Path, overrides: &[String], output: Option<PathBuf>) -> anyhow::Result<Self> {
        let (mut trials, mut stages) = (Vec::new(), Vec::<Trial>::new());
        let (mut folder, mut export) = (PathBuf::new(), None);
        let members = RawConfig::load(path, overrides)?;
        let names =
            members.iter().filter_map(|(member, _)| Some(member.of_several()?.name.clone())).collect::<Vec<_>>();
        for (member, mut raw) in members {
            let stem = path.file_stem().context("the configuration has no file name")?;
            folder = output.clone().or(raw.output).unwrap_or_else(|| Path::new("checkpoints").join(stem));
            raw.output = Some(member.of_several().map_or(folder.clone(), |own| folder.join(&own.name)));
            let place = member.of_several().map_or(String::new(), |own| format!(": {} `{}`", member.kind(), own.name));
            let failed = || format!("{}{place}", path.display());
            if let Member::Stage(own, from) = &member {
                export = raw.export.take();
                // The directory of a stage in the place of its name.
                for (key, model) in raw.data.models_mut() {
                    match stages.iter().find(|stage| model.as_os_str() == stage.name.as_str()) {
                        Some(stage) => *model = best(stage),
                        None if names.iter().any(|name| model.as_os_str() == name.as_str()) => {
                            return Err(anyhow!("{key}: {model:?} {}", not_before(&stages))).with_context(failed);
                        }
                        None => {}
                    }
                }
                if let Some(before) = before(&stages, own, from.as_deref()).with_context(failed)? {
                    raw.model.go_on_from(best(before));
                }
            } else if raw.export.is_some() {
                return Err(anyhow!("export goes with [[stage]]")).with_context(failed);
            }
            let config = Config::validate(raw).with_context(failed)?;
            match member {
                Member::Trial(RawTrial { name, keys }) => trials.push(Trial { name, keys, config }),
                Member::Stage(RawTrial { name, keys }, _) => stages.push(Trial { name, keys, config }),
                Member::Alone => return Ok(Plan::Run(Box::new(config))),
            }
        }
        if stages.is_empty() {
            return Ok(Plan::Trials(Trials { output: folder, trials }));
        }
        let export = export.map(|export| Export { path: export.path, weights: export.weights, card: export.card });
        Ok(Plan::Stages(Stages { output: folder, stages, export }))
    }
}

fn stage<'a>(stages: &'a [Trial], name: &str) -> Option<&'a Trial> {
    stages.iter().find(|stage| stage.name == name)
}

/// What a name is not, and what it could be.
fn not_before(stages: &[Trial]) -> String {
    match stages {
        [] => "names no stage before this one, which is the first".to_owned(),
        _ => {
            let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
            format!("names no stage before this one; they are: {}", names.join(", "))
        }
    }
}

fn best(stage: &Trial) -> PathBuf {
    stage.config.output.join("best")
}

/// The stage that another goes on from: the one that it names, else the one before. None for the first, and for one with a
/// model of its own.
fn before<'a>(stages: &'a [Trial], own: &RawTrial, from: Option<&str>) -> anyhow::Result<Option<&'a Trial>> {
    let model = own.keys.keys().find(|key| ["model.init", "model.scratch"].iter().any(|model| key.starts_with(model)));
    if model.is_none() && !stages.is_empty() && own.keys.keys().any(|key| key.starts_with("model.tokenizer")) {
        bail!(
            "model.tokenizer does nothing here: a stage goes on with the tokenizer of the model that it goes on from"
        );
    }
    match (from, model) {
        (Some(from), Some(key)) => bail!("from = {from:?} and {key} exclude each other: a stage begins with one model"),
        (Some(from), None) => {
            stage(stages, from).with_context(|| format!("from = {from:?} {}", not_before(stages))).map(Some)
        }
        (None, Some(_)) => Ok(None),
        (None, None) => Ok(stages.last()),
    }
}

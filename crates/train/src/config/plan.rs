//! What a configuration file asks for: one run, trials, or stages.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{
    Config,
    raw::{Member, RawConfig, RawTrial},
};
use crate::{
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
    /// One run for each `[[stage]]`, each from the one before.
    Stages(Stages),
}

impl Plan {
    /// Reads a TOML file, replaces keys by `overrides` of the form `train.epochs=2`, and validates the result.
    pub fn load(path: &Path, overrides: &[String], output: Option<PathBuf>) -> anyhow::Result<Self> {
        let (mut trials, mut stages) = (Vec::new(), Vec::<Trial>::new());
        let (mut folder, mut export) = (PathBuf::new(), None);
        for (member, mut raw) in RawConfig::load(path, overrides)? {
            let stem = path.file_stem().context("the configuration has no file name")?;
            folder = output.clone().or(raw.output).unwrap_or_else(|| Path::new("checkpoints").join(stem));
            raw.output = Some(member.of_several().map_or(folder.clone(), |own| folder.join(&own.name)));
            let place = member.of_several().map_or(String::new(), |own| format!(": {} `{}`", member.kind(), own.name));
            let failed = || format!("{}{place}", path.display());
            if let Member::Stage(_) = member {
                export = raw.export.take();
                if let (Some(before), Member::Stage(own)) = (stages.last(), &member) {
                    let key = own.keys.keys().find(|key| {
                        ["model.init", "model.scratch", "model.tokenizer"].iter().any(|fixed| key.starts_with(fixed))
                    });
                    if let Some(key) = key {
                        let why = format!("{key} does nothing here: a stage goes on from the model of the one before");
                        return Err(anyhow::anyhow!(why)).with_context(failed);
                    }
                    raw.model.go_on_from(before.config.output.join("best"));
                }
            } else if raw.export.is_some() {
                return Err(anyhow::anyhow!("export goes with [[stage]]")).with_context(failed);
            }
            let config = Config::validate(raw).with_context(failed)?;
            match member {
                Member::Trial(RawTrial { name, keys }) => trials.push(Trial { name, keys, config }),
                Member::Stage(RawTrial { name, keys }) => stages.push(Trial { name, keys, config }),
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

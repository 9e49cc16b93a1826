//! The configuration file as it is written: keys, types and defaults, nothing validated.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use data::{PairColumns, Scale};
use ground::command_line::WrongUse;
use model::{Pooling, Precision};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{ExportWeights, HardNegatives, Silver, one_line};
use crate::{entries::is_owned, figures::SelectBy, loss::Loss, objective::Objective};

/// A configuration file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawConfig {
    #[serde(default = "default_seed")]
    pub(crate) seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Objective::is_default")]
    pub(crate) objective: Objective,
    #[serde(default)]
    pub(crate) model: RawModel,
    #[serde(default)]
    pub(crate) data: RawData,
    #[serde(default)]
    pub(crate) train: RawTrain,
    /// Keys that a trial replaces, under its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) trial: Vec<Table>,
    /// Keys that a stage replaces, under its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) stage: Vec<Table>,
    /// The checkpoint that the last stage leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) export: Option<RawExport>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawModel {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) init: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_seq_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pooling: Option<Pooling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dropout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokenizer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scratch: Option<Table>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawData {
    pub(crate) train: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) teachers: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) silver: Option<Silver>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hard_negatives: Option<HardNegatives>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dev_fraction: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dev_from: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) split_seed: Option<u64>,
    /// Whether nobody named that seed.
    #[serde(skip)]
    pub(crate) split_seed_is_default: bool,
    pub(crate) dev: Vec<String>,
    pub(crate) test: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exclude: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_out: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text_pairs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text_sentences: Option<usize>,
    #[serde(skip_serializing_if = "PairColumns::is_default")]
    pub(crate) columns: PairColumns,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scale: Option<Scale>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sheet: Option<String>,
}

/// A copy of the result to be handed on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawExport {
    pub(crate) path: PathBuf,
    #[serde(default)]
    pub(crate) weights: ExportWeights,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) card: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawTrain {
    pub(crate) epochs: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps_per_epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_steps: Option<u64>,
    pub(crate) batch_size: usize,
    pub(crate) gradient_accumulation: usize,
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layerwise_lr_decay: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decay_steps: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) warmup_epochs: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) warmup_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) warmup_steps: Option<u64>,
    pub(crate) max_grad_norm: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) loss: Option<Loss>,
    pub(crate) precision: Precision,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) select_by: Option<SelectBy>,
    pub(crate) log_every_steps: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) save_every_steps: Option<u64>,
}

impl Default for RawTrain {
    fn default() -> Self {
        Self {
            epochs: 5,
            steps_per_epoch: None,
            max_steps: None,
            batch_size: 32,
            gradient_accumulation: 1,
            learning_rate: 2e-5,
            weight_decay: 0.01,
            layerwise_lr_decay: None,
            decay_steps: None,
            warmup_epochs: None,
            warmup_ratio: None,
            warmup_steps: None,
            max_grad_norm: 1.0,
            loss: None,
            precision: Precision::F32,
            select_by: None,
            log_every_steps: 10,
            save_every_steps: None,
        }
    }
}

fn default_seed() -> u64 {
    42
}

/// Whether a configuration stands alone, or is one of several.
pub(crate) enum Member {
    Alone,
    Trial(RawTrial),
    /// With the name of the stage that it goes on from, where that is not the one before.
    Stage(RawTrial, Option<String>),
}

impl Member {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Member::Alone => "run",
            Member::Trial(_) => "trial",
            Member::Stage(..) => "stage",
        }
    }

    pub(crate) fn of_several(&self) -> Option<&RawTrial> {
        match self {
            Member::Alone => None,
            Member::Trial(member) | Member::Stage(member, _) => Some(member),
        }
    }
}

/// What makes a configuration one of several.
pub(crate) struct RawTrial {
    pub(crate) name: String,
    /// The keys that it replaces, dotted, with the values that they have in the end.
    pub(crate) keys: Table,
}

impl RawData {
    /// The models that are named here, each by its key.
    pub(crate) fn models_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
        let of_silver = self.silver.iter_mut().flat_map(|silver| &mut silver.teachers);
        let miners = self.hard_negatives.iter_mut().flat_map(|negatives| {
            let HardNegatives { model, cross_encoder } = negatives;
            let model = model.iter_mut().map(|model| ("data.hard_negatives.model", model));
            model.chain(cross_encoder.iter_mut().map(|model| ("data.hard_negatives.cross_encoder", model)))
        });
        let teachers = self.teachers.iter_mut().map(|teacher| ("data.teachers", teacher));
        let teachers = teachers.chain(of_silver.map(|teacher| ("data.silver.teachers", teacher)));
        teachers.chain(miners)
    }
}

impl RawModel {
    /// Takes the model of the stage before in the place of what the stages have in common.
    pub(crate) fn go_on_from(&mut self, path: PathBuf) {
        *self = Self { init: Some(path), tokenizer: None, scratch: None, ..std::mem::take(self) };
    }
}

impl RawConfig {
    /// Reads a file: one configuration alone, or one for each `[[trial]]` or `[[stage]]`.
    pub(crate) fn load(path: &Path, overrides: &[String]) -> anyhow::Result<Vec<(Member, Self)>> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{}: the configuration cannot be read", path.display()))?;
        // First the file alone, whose errors have a line.
        let alone: Result<Self, _> = toml::from_str(&text);
        let (trials, stages) = alone.map(|alone| (alone.trial, alone.stage)).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            anyhow!("{}:{line}: {}", path.display(), one_line(error.message()))
        })?;
        let mut table: Table = toml::from_str(&text)?;
        table.remove("trial");
        table.remove("stage");
        let kind = match (trials.is_empty(), stages.is_empty()) {
            (false, false) => bail!("{}: [[trial]] and [[stage]] exclude each other", path.display()),
            (_, false) => "stage",
            _ => "trial",
        };
        let members = [trials, stages].concat();
        if members.is_empty() {
            override_keys(&mut table, overrides)?;
            let place = format!("--set {}", overrides.join(" "));
            return Ok(vec![(
                Member::Alone,
                from_table(table).map_err(|error| WrongUse(format!("{place}: {error}")))?,
            )]);
        }
        let mut named = Vec::<(Member, Self)>::new();
        for mut trial in members {
            let name = trial_name(kind, trial.remove("name")).with_context(|| path.display().to_string())?;
            let place = format!("{}: {kind} `{name}`", path.display());
            let from = match (kind, trial.remove("from")) {
                ("stage", Some(Value::String(from))) => Some(from),
                ("stage", Some(other)) => bail!("{place}: from is {other}, expected the name of a stage"),
                (_, None) => None,
                _ => bail!("{place}: from goes with [[stage]]"),
            };
            let taken = named.iter().filter_map(|(other, _)| other.of_several()).any(|other| other.name == name);
            ensure!(!taken, "{place}: the name is taken twice");
            let mut merged = table.clone();
            merge(&mut merged, trial.clone());
            from_table(merged.clone()).map_err(|error| anyhow!("{place}: {error}"))?;
            override_keys(&mut merged, overrides)?; // the command line has the last word
            let keys = own_keys("", &trial, &merged);
            let raw =
                from_table(merged).map_err(|error| WrongUse(format!("--set {}: {error}", overrides.join(" "))))?;
            let member = RawTrial { name, keys };
            let member = if kind == "stage" { Member::Stage(member, from) } else { Member::Trial(member) };
            named.push((member, raw));
        }
        Ok(named)
    }
}

/// What serde says where a list is missing, and what tells a user how to write one, in a file and where a shell eats quotes.
const LIST: (&str, &str) =
    ("expected a sequence", r#"expected a list, as in dev = ["sample:dev"] or --set 'data.dev=["sample:dev"]'"#);

fn from_table(table: Table) -> Result<RawConfig, String> {
    serde_path_to_error::deserialize(Value::Table(table))
        .map_err(|error| format!("{}: {}", error.path(), one_line(error.inner().message()).replace(LIST.0, LIST.1)))
}

fn override_keys(table: &mut Table, overrides: &[String]) -> anyhow::Result<()> {
    for assignment in overrides {
        apply(table, assignment).map_err(|error| WrongUse(format!("--set {assignment}: {error}")))?;
    }
    Ok(())
}

/// The name becomes a folder's.
fn trial_name(kind: &str, name: Option<Value>) -> anyhow::Result<String> {
    let Some(Value::String(name)) = name else { bail!("a [[{kind}]] has no name, such as name = \"v1\"") };
    let is_plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    ensure!(
        is_plain && name.starts_with(|first: char| first.is_ascii_alphanumeric()) && !is_owned(&name),
        "{kind} name {name:?}: expected letters, digits, `-`, `_` and `.`, and no name of a file of runs"
    );
    Ok(name)
}

/// The keys of a trial, dotted, as they stand in the merged table; the command line may have removed some.
fn own_keys(path: &str, trial: &Table, merged: &Table) -> Table {
    let own = trial.iter().flat_map(|(key, value)| match (value, merged.get(key)) {
        (Value::Table(inner), Some(Value::Table(merged))) if !inner.is_empty() => {
            own_keys(&format!("{path}{key}."), inner, merged)
        }
        (_, Some(value)) => Table::from_iter([(format!("{path}{key}"), value.clone())]),
        (_, None) => Table::new(),
    });
    own.collect()
}

/// Puts the values of one table over those of another.
fn merge(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => merge(inner, over),
            (_, value) => insert(table, &key, value),
        }
    }
}

/// Sets a key, and removes those that it excludes.
fn insert(table: &mut Table, key: &str, value: Value) {
    for group in [["warmup_epochs", "warmup_ratio", "warmup_steps"].as_slice(), &["init", "scratch"]] {
        if group.contains(&key) {
            table.retain(|other, _| !group.contains(&other));
        }
    }
    table.insert(key.to_owned(), value);
}

/// Sets `a.b=value` in a table. The value is TOML; what is not is a text, so that no shell needs two kinds of quotes.
fn apply(table: &mut Table, assignment: &str) -> anyhow::Result<()> {
    let (path, text) = assignment.split_once('=').context("expected KEY=VALUE, such as train.epochs=2")?;
    let parsed: Result<Table, _> = toml::from_str(&format!("value = {text}"));
    let value =
        parsed.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()));
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().unwrap_or_default();
    let mut inner = table;
    for key in keys {
        let entry = inner.entry(key).or_insert_with(|| Value::Table(Table::new()));
        inner = entry.as_table_mut().with_context(|| format!("`{key}` is a value, not a table"))?;
    }
    insert(inner, last, value);
    Ok(())
}

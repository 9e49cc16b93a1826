//! What is made for a run before its first step, kept in its directory as it is made: a run that is stopped meanwhile, or
//! fails, goes on with it.

use std::{
    borrow::Borrow,
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use eval::LABEL_SCALE;
use ground::{Lock, hex};
use model::{
    CrossEncoder, SentenceEncoder, TrainableEncoder, normalized,
    weights::{read_safetensors, write_safetensors},
};
use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use crate::{
    config::Config,
    entries::PREPARED,
    environment::{Environment, Existing},
    progress::Progress,
    run_dir::RunDir,
    schedule::LinearSchedule,
    space,
};

/// Sentences whose embeddings are kept together: so many are lost at most.
const PART: usize = 1 << 13;

const EMBEDDINGS: &str = "embeddings";
const NEIGHBOURS: &str = "neighbours";
const SCORES: &str = "scores";

/// A run before its first step: what can be checked is checked before the first sentence is encoded, and what is made from
/// then on is kept in the run's directory.
pub(crate) struct Prepared<'a> {
    pub(crate) config: &'a Config,
    pub(crate) environment: &'a Environment,
    /// Whether this process writes a run that has saved nothing yet.
    is_new: bool,
    /// Whether the run's directory was there at the start, and is this process's.
    is_locked: bool,
    begun: RefCell<Option<(Option<Lock>, RunDir)>>,
}

/// From what something was made, as a digest: what was made from something else is made again.
struct Origin(Sha256);

impl Origin {
    fn new(what: &str) -> Self {
        Self(Sha256::new()).with(what)
    }

    fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    fn with_all<T: AsRef<[u8]>>(self, parts: impl IntoIterator<Item = T>) -> Self {
        parts.into_iter().fold(self, Self::with)
    }

    fn digest(self) -> String {
        hex(self.0)
    }
}

/// What tells an encoder from others: its weights, by name.
pub(crate) fn weights_origin(encoder: &TrainableEncoder) -> anyhow::Result<String> {
    let mut origin = Origin::new("weights");
    for (name, weight) in encoder.variables() {
        let values = model::slices::to_vec(&weight)?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        origin = origin.with(name).with(bytes);
    }
    Ok(origin.digest())
}

impl<'a> Prepared<'a> {
    /// That of a run, which has saved something or is a new one.
    pub(crate) fn new(config: &'a Config, environment: &'a Environment, has_state: bool, is_locked: bool) -> Self {
        let is_new = !has_state && environment.ranks.is_first();
        Self { config, environment, is_new, is_locked, begun: RefCell::new(None) }
    }

    /// Checks the run whose epochs have so many optimizer steps, or fewer: its schedule, and whether the disk has room.
    pub(crate) fn check(&self, steps_per_epoch: u64) -> anyhow::Result<()> {
        LinearSchedule::of(self.config, steps_per_epoch)?;
        if self.is_new { space::check(self.config) } else { Ok(()) }
    }

    /// Makes the directory of a new run, if it was not made before. From here on a signal loses nothing.
    fn begin(&self) -> anyhow::Result<()> {
        let mut begun = self.begun.borrow_mut();
        if !self.is_new || begun.is_some() {
            return Ok(());
        }
        let (output, raw) = (&self.config.output, &self.config.raw);
        let lock = if self.is_locked { None } else { Some(Lock::take(output)?) };
        if !self.is_locked {
            RunDir::check(output, Existing::Refuse)?; // another process may have been faster
        }
        let keep_prepared = RunDir::holds(output, raw).unwrap_or(false);
        *begun = Some((lock, RunDir::create(output, raw, keep_prepared)?));
        self.environment
            .interrupt
            .end_at_once("what was made before the first step is kept; run the same command again")
    }

    /// The new run's directory, which carries its lock; none where a run goes on, or where another rank writes it.
    pub(crate) fn finish(self) -> anyhow::Result<Option<(Option<Lock>, RunDir)>> {
        self.begin()?;
        Ok(self.begun.into_inner())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.config.output.join(PREPARED).join(name)
    }

    fn make_folder(&self) -> anyhow::Result<()> {
        let folder = self.config.output.join(PREPARED);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())
    }

    /// The embeddings of some sentences, (sentences, hidden), each of length 1; `task` is what the progress calls it. Those
    /// that are kept are not computed: `encoder`, which `origin` tells from others, is asked for only if some are missing.
    pub(crate) fn unit_embeddings<E: Borrow<SentenceEncoder>>(
        &self,
        origin: &str,
        encoder: impl FnOnce() -> anyhow::Result<E>,
        sentences: &[impl AsRef<str>],
        task: &str,
        progress: &Progress,
    ) -> anyhow::Result<Tensor> {
        let mut told = progress.counting(task, sentences.len(), "sentences");
        let (mut encoder, mut loaded) = (Some(encoder), None);
        let mut parts = Vec::new();
        for part in sentences.chunks(PART) {
            let texts: Vec<&str> = part.iter().map(AsRef::as_ref).collect();
            let name = Origin::new("embeddings").with(origin).with_all(&texts).digest();
            let path = self.path(&format!("{}.safetensors", &name[..32]));
            if path.exists() {
                parts.push(kept(&path, EMBEDDINGS, Kind::Float, part.len())?);
                told(part.len());
                continue;
            }
            if let Some(load) = encoder.take() {
                loaded = Some(load()?);
                self.begin()?;
            }
            let own = loaded.as_ref().expect("it was loaded for the first part that is missing").borrow();
            let embeddings = own.encode_with_progress(&texts, &mut told)?.to_tensor();
            ensure!(embeddings.isfinite().all().int64_value(&[]) == 1, "its embeddings are not all finite");
            let embeddings = normalized(&embeddings);
            self.make_folder()?;
            write_whole(&path, EMBEDDINGS, &embeddings)?;
            parts.push(embeddings);
        }
        Ok(Tensor::cat(&parts, 0))
    }

    /// Five times the scores that a cross-encoder gives pairs of places among sentences, also where that is beyond the labels'
    /// scale, since they still rank there; otherwise as
    /// [`Prepared::unit_embeddings`].
    pub(crate) fn pair_scores(
        &self,
        origin: &str,
        encoder: impl FnOnce() -> anyhow::Result<CrossEncoder>,
        sentences: &[impl AsRef<str>],
        pairs: &[(usize, usize)],
        task: &str,
        progress: &Progress,
    ) -> anyhow::Result<Vec<f64>> {
        let mut told = progress.counting(task, pairs.len(), "pairs");
        let (mut encoder, mut loaded) = (Some(encoder), None);
        let mut all = Vec::with_capacity(pairs.len());
        for part in pairs.chunks(PART) {
            let texts: Vec<[&str; 2]> =
                part.iter().map(|&(first, second)| [sentences[first].as_ref(), sentences[second].as_ref()]).collect();
            let name = Origin::new("scores").with(origin).with_all(texts.iter().flatten()).digest();
            let path = self.path(&format!("{}.safetensors", &name[..32]));
            if path.exists() {
                let scores = kept(&path, SCORES, Kind::Double, part.len())?;
                all.extend(Vec::<f64>::try_from(scores.flatten(0, -1))?);
                told(part.len());
                continue;
            }
            if let Some(load) = encoder.take() {
                loaded = Some(load()?);
                self.begin()?;
            }
            let own: &CrossEncoder = loaded.as_ref().expect("it was loaded for the first part that is missing");
            let (numbers, _) = own.logits(&texts, &mut told)?;
            let score = |number: f32| LABEL_SCALE * f64::from(own.activation().apply(number));
            let scores: Vec<f64> = numbers.into_iter().map(score).collect();
            ensure!(scores.iter().all(|score| score.is_finite()), "its scores are not all finite");
            self.make_folder()?;
            write_whole(&path, SCORES, &Tensor::from_slice(&scores).unsqueeze(1))?;
            all.extend(scores);
        }
        Ok(all)
    }

    /// The sentences most alike to each, best first, which `make` finds if they are not kept; `origins` tell the encoders from
    /// others whose embeddings they are found by.
    pub(crate) fn neighbours(
        &self,
        origins: &[String],
        sentences: &[impl AsRef<str>],
        make: impl FnOnce() -> anyhow::Result<Vec<Vec<usize>>>,
    ) -> anyhow::Result<Vec<Vec<usize>>> {
        let texts = sentences.iter().map(AsRef::as_ref);
        let name = Origin::new("neighbours").with_all(origins).with_all(texts).digest();
        let sentences = sentences.len();
        let path = self.path(&format!("{}.safetensors", &name[..32]));
        if path.exists() {
            let places = kept(&path, NEIGHBOURS, Kind::Int64, sentences)?;
            let each = usize::try_from(places.size()[1])?;
            let places = Vec::<i64>::try_from(places.flatten(0, -1))?;
            let places: Vec<usize> = places.into_iter().map(usize::try_from).collect::<Result<_, _>>()?;
            ensure!(
                places.iter().all(|&place| place < sentences),
                "{}: no neighbours of these sentences",
                path.display()
            );
            return Ok(match each {
                0 => vec![Vec::new(); sentences],
                each => places.chunks(each).map(<[usize]>::to_vec).collect(),
            });
        }
        self.begin()?;
        let neighbours = make()?;
        let flat: Vec<i64> = neighbours.iter().flatten().map(|&place| place as i64).collect();
        self.make_folder()?;
        write_whole(&path, NEIGHBOURS, &Tensor::from_slice(&flat).view((neighbours.len() as i64, -1)))?;
        Ok(neighbours)
    }
}

/// A part as it was kept.
fn kept(path: &Path, name: &str, kind: Kind, rows: usize) -> anyhow::Result<Tensor> {
    let place = || path.display().to_string();
    let tensor = read_safetensors(path).with_context(place)?.remove(name);
    let tensor = tensor.filter(|part| part.kind() == kind && part.dim() == 2 && part.size()[0] == rows as i64);
    tensor.with_context(|| format!("{}: expected {name:?} with a row for each of {rows} sentences: remove it", place()))
}

/// Writes a tensor's file whole or not at all.
fn write_whole(path: &Path, name: &str, tensor: &Tensor) -> anyhow::Result<()> {
    let unfinished = path.with_extension("incomplete");
    write_safetensors(&unfinished, &BTreeMap::from([(name.to_owned(), tensor.shallow_clone())]))?;
    fs::rename(&unfinished, path).with_context(|| path.display().to_string())
}

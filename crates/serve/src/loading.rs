//! From settings to a state: the model is loaded, and its engine runs.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Instant,
};

use embed::Corpus;
use model::{
    BUNDLED_MODEL, CrossEncoder, Matryoshka, Options, PairTokenizer, Pooling, Precision, Prompts, Ranges,
    ScoreActivation, SentenceEncoder, SimilarityFunction, Tokenizer, holds_cross_encoder,
    hub::{self, Hub},
    runtime,
};
use tch::Device;

use crate::{
    cache::EmbeddingCache,
    corpus,
    embedder::{Asked, Embedder},
    engine::{self, Engine, Input, Models},
    failure::Error,
    metrics::Metrics,
    output::Outputs,
    reranker::Reranker,
    settings::{ScoreBy, Settings},
    state::State,
    types::{EmbeddingModel, Info, ModelType, RerankerModel, Similarities},
};

const BATCHES_IN_QUEUE: usize = 64;

/// Loads the model and starts its engine.
pub fn state(settings: &Settings) -> Result<State, Error> {
    let device = runtime::init(settings.device, settings.threads)?;
    let is_default = settings.model.as_os_str() == BUNDLED_MODEL;
    if is_default && !settings.model.is_dir() {
        return Err(Error::NoModel);
    }
    let path = Hub::from_env().resolve(&settings.model, &mut hub::on_stderr())?;
    let corpus = settings.corpus.as_ref().map(|settings| corpus::open(settings, &path)).transpose();
    let corpus = corpus.map_err(Error::Corpus)?;
    let precision = settings.precision.on(device);
    let Settings { max_seq_length, pooling, dimensions, allow_truncation, .. } = *settings;
    let prompt = settings.prompt.clone();
    let options = Options {
        device,
        precision,
        max_seq_length,
        pooling,
        prompt,
        dimensions,
        allow_truncation,
        ..Options::default()
    };
    let max_batch_tokens = settings.max_batch_tokens.unwrap_or(if device == Device::Cpu { 256 } else { 16_384 });
    let limits = engine::Options {
        max_batch_tokens,
        max_queue_tokens: settings.max_queue_tokens.unwrap_or(BATCHES_IN_QUEUE * max_batch_tokens),
    };
    let metrics = Arc::new(Metrics::new());
    let loaded = Arc::new(OnceLock::new());
    let known = loaded.clone();
    let started = Instant::now();
    let is_alone = settings.reranker_only;
    let asked = settings.reranker.as_ref().filter(|_| !is_alone); // else it is the model
    let reranker = asked.map(|model| Hub::from_env().resolve(model, &mut hub::on_stderr())).transpose()?;
    let load = move || {
        let (encoder, reranker) = match (is_alone, reranker) {
            (true, _) => (None, Some(load_reranker(&path, &options)?)),
            (false, reranker) => {
                // Length, pooling, prompts and dimensions are the encoder's.
                let own = Options { device, precision, ..Options::default() };
                let reranker = reranker.map(|path| load_reranker(&path, &own)).transpose();
                (Some(load_encoder(path, &options)?), reranker?)
            }
        };
        let mut probe: Vec<Input> = Vec::new();
        if let Some(encoder) = &encoder {
            probe.extend(encoder.tokenizer().encode(&[PROBE])?.into_iter().map(Input::from));
        }
        if let Some(reranker) = &reranker {
            probe.extend(reranker.pairs().encode(&[PROBE], &[[0, 0]])?.into_iter().map(Input::from));
        }
        let _ = known.set(Loaded::new(encoder.as_ref(), reranker.as_ref()));
        Ok((Models { encoder, reranker }, probe))
    };
    let engine = Arc::new(Engine::start(load, limits, runtime::threads(), metrics.clone())?);
    let loaded = loaded.get().expect("the engine runs, so the model is loaded");
    let (model, seconds) = (settings.model.display(), started.elapsed().as_secs_f64());
    let processor = runtime::processor();
    tracing::info!(%model, %precision, ?device, processor, seconds, "the model is loaded");
    if let Some(reranker) = asked {
        tracing::info!(reranker = %reranker.display(), %precision, "the reranker is loaded");
    }
    let info =
        Info { corpus_rows: corpus.as_ref().map(Corpus::rows), ..info(settings, loaded, precision, max_batch_tokens) };
    let cache = Arc::new(EmbeddingCache::new(settings.cache_mib, metrics.clone()));
    let reranker = loaded.reranker.clone().map(|LoadedReranker { pairs, activation, .. }| Reranker {
        engine: engine.clone(),
        pairs,
        activation,
        cache: cache.clone(),
        metrics: metrics.clone(),
    });
    let embedder = match &loaded.encoder {
        None => None,
        Some(loaded) => {
            loaded.warn(&settings.model);
            if let Some(corpus) = &corpus {
                corpus::check_embeddings(corpus.settings(), loaded.dimensions, loaded.pooling_beside_directory)
                    .map_err(Error::Corpus)?;
            }
            let ranges = settings.ranges.as_ref().map(|path| Ranges::read(path, loaded.dimensions)).transpose()?;
            let outputs = outputs(settings, loaded, ranges);
            let tokenizer = loaded.tokenizer.clone();
            Some(Embedder::new(engine.clone(), tokenizer, loaded.prompts(), outputs, cache, metrics.clone()))
        }
    };
    State::new(engine, embedder, reranker, corpus, info, settings, metrics)
        .map_err(|error| Error::Io(std::io::Error::other(error)))
}

/// What is known of the models once they are loaded.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) encoder: Option<LoadedEncoder>,
    pub(crate) reranker: Option<LoadedReranker>,
}

/// What is known of a model that embeds.
#[derive(Clone, Debug)]
pub(crate) struct LoadedEncoder {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) prompts: Prompts,
    pub(crate) pools_prompt: bool,
    pub(crate) dimensions: usize,
    pub(crate) normalizes: bool,
    pub(crate) matryoshka: Matryoshka,
    pub(crate) pooling: Pooling,
    pub(crate) pooling_was_assumed: bool,
    pub(crate) pooling_beside_directory: Option<Pooling>,
    pub(crate) similarity: SimilarityFunction,
}

/// What is known of a model that reads two texts together.
#[derive(Clone, Debug)]
pub(crate) struct LoadedReranker {
    pub(crate) pairs: PairTokenizer,
    pub(crate) activation: ScoreActivation,
    pub(crate) labels: Vec<String>,
}

/// What every sound model can compute.
const PROBE: &str = "안녕하세요.";

/// A model that embeds.
fn load_encoder(path: PathBuf, options: &Options) -> Result<SentenceEncoder, model::Error> {
    SentenceEncoder::load(&path, options).map_err(|error| match holds_cross_encoder(&path) {
        true => model::Error::Unusable(format!("{error}; a reranker is named by --reranker")),
        false => error,
    })
}

/// A model that reads two texts together and gives them one number.
fn load_reranker(path: &Path, options: &Options) -> Result<CrossEncoder, model::Error> {
    let encoder = CrossEncoder::load(path, options).map_err(|error| match holds_cross_encoder(path) {
        true => error,
        false => model::Error::Unusable(format!("{error}; a sentence encoder is named by --model")),
    })?;
    encoder.check_single_label()?;
    Ok(encoder)
}

impl Loaded {
    fn new(encoder: Option<&SentenceEncoder>, reranker: Option<&CrossEncoder>) -> Self {
        let encoder = encoder.map(|encoder| LoadedEncoder {
            tokenizer: encoder.tokenizer().clone(),
            prompts: encoder.prompts().clone(),
            pools_prompt: encoder.pools_prompt(),
            dimensions: encoder.dimensions(),
            normalizes: encoder.normalizes(),
            matryoshka: encoder.matryoshka().clone(),
            pooling: encoder.pooling(),
            pooling_was_assumed: encoder.pooling_was_assumed(),
            pooling_beside_directory: encoder.pooling_beside_directory(),
            similarity: encoder.similarity_function(),
        });
        let reranker = reranker.map(|reranker| LoadedReranker {
            pairs: reranker.pairs().clone(),
            activation: reranker.activation(),
            labels: reranker.labels().to_vec(),
        });
        Self { encoder, reranker }
    }
}

impl LoadedEncoder {
    /// What a request can ask to be put before its texts.
    pub(crate) fn prompts(&self) -> Asked {
        Asked { prompts: self.prompts.clone(), default: self.tokenizer.prompt().to_owned(), is_free: self.pools_prompt }
    }

    /// Tells the log of what was assumed, and of prompts that nobody named.
    fn warn(&self, model: &Path) {
        let model = model.display();
        if self.pooling_was_assumed {
            tracing::warn!(
                %model,
                pooling = %self.pooling,
                "the directory has no pooling of its own: this one is assumed, another is named by --pooling"
            );
        }
        let named = "prompt_name of a request, or --prompt-name,";
        if let Some(note) = self.prompts.note(&model, self.tokenizer.prompt(), named) {
            tracing::warn!("{note}");
        }
    }
}

/// What can be asked of a model's embeddings.
pub(crate) fn outputs(settings: &Settings, loaded: &LoadedEncoder, ranges: Option<Ranges>) -> Outputs {
    let LoadedEncoder { dimensions: width, normalizes, similarity, .. } = *loaded;
    let matryoshka = if settings.allow_truncation { Matryoshka::any() } else { loaded.matryoshka.clone() };
    Outputs { width, matryoshka, normalizes, similarity, ranges }
}

/// What `GET /info` says.
pub(crate) fn info(settings: &Settings, loaded: &Loaded, precision: Precision, max_batch_tokens: usize) -> Info {
    let Loaded { encoder, reranker } = loaded;
    let encoder = encoder.as_ref();
    let is_alone = encoder.is_none();
    let max_pair_length = reranker.as_ref().map(|reranker| reranker.pairs.max_seq_length());
    let named = if is_alone { Some(&settings.model) } else { settings.reranker.as_ref() };
    let labels = reranker.iter().flat_map(|reranker| reranker.labels.iter().cloned().enumerate());
    let model_type = match encoder {
        Some(encoder) => ModelType::Embedding(EmbeddingModel { pooling: encoder.pooling }),
        None => ModelType::Reranker(RerankerModel {
            id2label: labels.clone().map(|(id, label)| (id.to_string(), label)).collect(),
            label2id: labels.map(|(id, label)| (label, id)).collect(),
        }),
    };
    Info {
        model_id: settings.model.display().to_string(),
        model_sha: None,
        model_dtype: match precision {
            Precision::F32 => "float32",
            Precision::Bf16 => "bfloat16",
            Precision::Int8 => "int8",
        },
        model_type,
        hidden_size: encoder.map(|encoder| encoder.dimensions),
        truncatable: encoder.is_some_and(|encoder| settings.allow_truncation || encoder.matryoshka.is_said()),
        matryoshka_dims: encoder.map(|encoder| encoder.matryoshka.dims().to_vec()).unwrap_or_default(),
        similarity: encoder.map(|encoder| Similarities::new(encoder.similarity)),
        reranker: named.map(|model| model.display().to_string()),
        score_by: if is_alone { ScoreBy::Reranker } else { settings.score_by },
        max_rerank_length: max_pair_length,
        prompts: encoder.map(|encoder| encoder.prompts.texts().clone()).unwrap_or_default(),
        prompt: encoder.map(|encoder| encoder.tokenizer.prompt().to_owned()).unwrap_or_default(),
        corpus_rows: None,
        max_concurrent_csv_files: settings.limits.max_csv_jobs,
        max_concurrent_requests: settings.limits.max_concurrent_requests,
        max_input_length: encoder.map(|encoder| encoder.tokenizer.max_seq_length()).or(max_pair_length).unwrap_or(0),
        max_batch_tokens,
        max_batch_requests: None,
        max_client_batch_size: settings.limits.max_client_batch_size,
        max_csv_bytes: settings.limits.max_csv_bytes,
        max_csv_rows: settings.limits.max_csv_rows,
        auto_truncate: settings.auto_truncate,
        tokenization_workers: settings.workers,
        processor: runtime::processor(),
        version: env!("CARGO_PKG_VERSION"),
        sha: None,
        docker_label: None,
    }
}

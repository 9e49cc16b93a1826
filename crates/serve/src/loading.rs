//! From settings to a state: the model is loaded, and its engine runs.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Instant,
};

use embed::Corpus;
use model::{
    BUNDLED_MODEL, CrossEncoder, Matryoshka, Options, PairTokenizer, Pooling, Precision, Prompts, Ranges,
    ScoreActivation, SentenceEncoder, SimilarityFunction, Tokenizer,
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
    settings::Settings,
    state::State,
    types::{EmbeddingModel, Info, ModelType, Similarities},
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
    let asked = settings.reranker.as_ref();
    let reranker = asked.map(|model| Hub::from_env().resolve(model, &mut hub::on_stderr())).transpose()?;
    let load = move || {
        let encoder = SentenceEncoder::load(path, &options)?;
        let reranker = reranker.map(|path| load_reranker(&path, &options)).transpose()?;
        let mut probe: Vec<Input> = encoder.tokenizer().encode(&[PROBE])?.into_iter().map(Input::from).collect();
        if let Some(reranker) = &reranker {
            probe.extend(reranker.pairs().encode(&[PROBE], &[[0, 0]])?.into_iter().map(Input::from));
        }
        let _ = known.set(Loaded::new(&encoder, reranker.as_ref()));
        Ok((Models { encoder, reranker }, probe))
    };
    let engine = Engine::start(load, limits, runtime::threads(), metrics.clone())?;
    let loaded = loaded.get().expect("the engine runs, so the model is loaded");
    let (model, seconds) = (settings.model.display(), started.elapsed().as_secs_f64());
    if loaded.pooling_was_assumed {
        tracing::warn!(
            %model,
            pooling = %loaded.pooling,
            "the directory has no pooling of its own: this one is assumed, another is named by --pooling"
        );
    }
    if let Some(note) =
        loaded.prompts.note(&model, loaded.tokenizer.prompt(), "prompt_name of a request, or --prompt-name,")
    {
        tracing::warn!("{note}");
    }
    let processor = runtime::processor();
    tracing::info!(%model, %precision, ?device, processor, seconds, "the model is loaded");
    if let Some(corpus) = &corpus {
        corpus::check_embeddings(corpus.settings(), loaded.dimensions, loaded.pooling_beside_directory)
            .map_err(Error::Corpus)?;
    }
    let ranges = settings.ranges.as_ref().map(|path| Ranges::read(path, loaded.dimensions)).transpose()?;
    let outputs = outputs(settings, loaded, ranges);
    let info =
        Info { corpus_rows: corpus.as_ref().map(Corpus::rows), ..info(settings, loaded, precision, max_batch_tokens) };
    let cache = Arc::new(EmbeddingCache::new(settings.cache_mib, metrics.clone()));
    let engine = Arc::new(engine);
    let reranker = loaded.reranker.clone().map(|(pairs, activation)| Reranker {
        engine: engine.clone(),
        pairs,
        activation,
        cache: cache.clone(),
        metrics: metrics.clone(),
    });
    let embedder = Embedder::new(engine, loaded.tokenizer.clone(), loaded.prompts(), cache, metrics.clone());
    State::new(embedder, reranker, corpus, outputs, info, settings, metrics)
        .map_err(|error| Error::Io(std::io::Error::other(error)))
}

/// What is known of a model once it is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
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
    pub(crate) reranker: Option<(PairTokenizer, ScoreActivation)>,
}

/// What every sound model can compute.
const PROBE: &str = "안녕하세요.";

/// A model that reads two texts together and gives them one number.
fn load_reranker(path: &Path, options: &Options) -> Result<CrossEncoder, model::Error> {
    // Those of the sentence encoder are its own.
    let Options { device, precision, .. } = *options;
    let encoder = CrossEncoder::load(path, &Options { device, precision, ..Options::default() })?;
    encoder.check_single_label()?;
    Ok(encoder)
}

impl Loaded {
    /// What a request can ask to be put before its texts.
    pub(crate) fn prompts(&self) -> Asked {
        Asked { prompts: self.prompts.clone(), default: self.tokenizer.prompt().to_owned(), is_free: self.pools_prompt }
    }

    fn new(encoder: &SentenceEncoder, reranker: Option<&CrossEncoder>) -> Self {
        Self {
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
            reranker: reranker.map(|reranker| (reranker.pairs().clone(), reranker.activation())),
        }
    }
}

/// What can be asked of a model's embeddings.
pub(crate) fn outputs(settings: &Settings, loaded: &Loaded, ranges: Option<Ranges>) -> Outputs {
    let Loaded { dimensions: width, normalizes, matryoshka, .. } = loaded;
    let matryoshka = if settings.allow_truncation { Matryoshka::any() } else { matryoshka.clone() };
    Outputs { width: *width, matryoshka, normalizes: *normalizes, ranges }
}

/// What `GET /info` says.
pub(crate) fn info(settings: &Settings, loaded: &Loaded, precision: Precision, max_batch_tokens: usize) -> Info {
    let Loaded { dimensions, pooling, similarity, .. } = *loaded;
    Info {
        model_id: settings.model.display().to_string(),
        model_sha: None,
        model_dtype: match precision {
            Precision::F32 => "float32",
            Precision::Bf16 => "bfloat16",
            Precision::Int8 => "int8",
        },
        model_type: ModelType::Embedding(EmbeddingModel { pooling }),
        hidden_size: dimensions,
        truncatable: settings.allow_truncation || loaded.matryoshka.is_said(),
        matryoshka_dims: loaded.matryoshka.dims().to_vec(),
        similarity: Similarities::new(similarity),
        reranker: settings.reranker.as_ref().map(|model| model.display().to_string()),
        score_by: settings.score_by,
        max_rerank_length: loaded.reranker.as_ref().map(|(pairs, _)| pairs.max_seq_length()),
        prompts: loaded.prompts.texts().clone(),
        prompt: loaded.tokenizer.prompt().to_owned(),
        corpus_rows: None,
        max_concurrent_csv_files: settings.limits.max_csv_jobs,
        max_concurrent_requests: settings.limits.max_concurrent_requests,
        max_input_length: loaded.tokenizer.max_seq_length(),
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

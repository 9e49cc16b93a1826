//! From sentences to embeddings: cache, tokenizer and engine in one.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::web;
use model::{Prompts, Tokenized, Tokenizer};

use crate::{
    cache::{EmbeddingCache, Holder, Known},
    engine::{Admission, Embedding, Engine},
    error::ApiError,
    metrics::Metrics,
    output::Outputs,
};

/// Sentences with more bytes than this in all are tokenized on a thread of their own, not on that of the connections.
pub(crate) const MUCH: usize = 8 << 10;

/// What a request has cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Tokens of its sentences, special tokens included, each sentence as often as it was asked for.
    pub(crate) tokens: usize,
    /// Sentences that were cut at the model's number of tokens.
    pub(crate) truncated: usize,
    /// Time of tokenizing.
    pub(crate) tokenization: Duration,
    /// Time in the queue.
    pub(crate) queue: Duration,
    /// Time of the batches that it was part of.
    pub(crate) inference: Duration,
}

impl Cost {
    /// Adds the cost of another part of the request.
    pub(crate) fn add(&mut self, other: Self) {
        self.tokens += other.tokens;
        self.truncated += other.truncated;
        self.tokenization += other.tokenization;
        self.queue += other.queue;
        self.inference += other.inference;
    }
}

/// What a request can ask to be put before its texts.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The model's.
    pub(crate) prompts: Prompts,
    /// Where a request names none.
    pub(crate) default: String,
    /// Whether a request can name another: not where pooling leaves out the tokens of the one that the model was loaded
    /// with.
    pub(crate) is_free: bool,
}

impl Asked {
    fn of(&self, name: Option<&str>) -> Result<&str, ApiError> {
        let Some(name) = name else { return Ok(&self.default) };
        let asked = || name.chars().take(20).collect::<String>();
        let prompt = self.prompts.named(name).map_err(|_| {
            let own = self.prompts.names().collect::<Vec<_>>().join(", ");
            let own = if own.is_empty() { "no prompts".to_owned() } else { format!("the prompts {own}") };
            ApiError::Invalid(format!("`prompt_name` is {:?}, and the model has {own}", asked()))
        })?;
        if !self.is_free && prompt != self.default {
            return Err(ApiError::Invalid(format!(
                "`prompt_name` is {:?}, and the model's pooling leaves out the prompt that the server was started with \
                 (include_prompt is false): another is named by the server's --prompt-name",
                asked()
            )));
        }
        Ok(prompt)
    }
}

/// Embeds sentences.
#[derive(Clone)]
pub(crate) struct Embedder {
    engine: Arc<Engine>,
    tokenizer: Arc<Tokenizer>, // which puts nothing before texts
    prompts: Arc<Asked>,
    cache: Arc<EmbeddingCache>,
    metrics: Arc<Metrics>,
    /// What can be asked of its embeddings.
    pub(crate) outputs: Outputs,
}

impl Embedder {
    /// An embedder on a running engine, with its encoder's tokenizer and prompts, and what can be asked of its embeddings.
    pub(crate) fn new(
        engine: Arc<Engine>,
        tokenizer: Tokenizer,
        prompts: Asked,
        outputs: Outputs,
        cache: Arc<EmbeddingCache>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            engine,
            tokenizer: Arc::new(tokenizer.with_prompt("")),
            prompts: Arc::new(prompts),
            cache,
            metrics,
            outputs,
        }
    }

    /// Most tokens of a sentence.
    pub(crate) fn max_seq_length(&self) -> usize {
        self.tokenizer.max_seq_length()
    }

    /// Texts as the encoder is given them: behind the prompt of a name, or the server's.
    fn prompted(&self, name: Option<&str>, sentences: Vec<String>) -> Result<Vec<String>, ApiError> {
        Ok(match self.prompts.of(name)? {
            "" => sentences,
            prompt => sentences.into_iter().map(|sentence| format!("{prompt}{sentence}")).collect(),
        })
    }

    /// One embedding for each sentence, behind the prompt of a name or the server's; without `truncate`, a sentence that is too long is an error.
    pub(crate) async fn embed(
        &self,
        holder: Holder,
        prompt_name: Option<&str>,
        sentences: Vec<String>,
        truncate: bool,
        admission: Admission,
    ) -> Result<(Vec<Embedding>, Cost), ApiError> {
        let sentences = self.prompted(prompt_name, sentences)?;
        let mut known: HashMap<&str, Option<Known>> = HashMap::new();
        for sentence in &sentences {
            known.entry(sentence).or_insert_with(|| self.cache.get(holder, sentence));
        }
        let missing: Vec<String> =
            known.iter().filter(|(_, known)| known.is_none()).map(|(sentence, _)| (*sentence).to_owned()).collect();
        let mut cost = Cost::default();
        if !missing.is_empty() {
            // A request that is going to be refused is not tokenized first.
            if admission == Admission::Bounded {
                self.engine.check_room(2 * missing.len())?;
            }
            let started = Instant::now();
            let (missing, tokenized) = self.tokenize(missing).await?;
            cost.tokenization = started.elapsed();
            if !truncate {
                self.refuse_long(&missing, &tokenized)?;
            }
            let marks: Vec<(usize, bool)> =
                tokenized.iter().map(|tokenized| (tokenized.ids.len(), tokenized.is_truncated)).collect();
            let ids = tokenized.into_iter().map(|tokenized| tokenized.ids);
            let computed = self.engine.submit(ids, admission)?.outcome().await?;
            (cost.queue, cost.inference) = (computed.queue, computed.inference);
            for ((sentence, embedding), (tokens, is_truncated)) in
                missing.into_iter().zip(computed.embeddings).zip(marks)
            {
                let found = Known { embedding, tokens, is_truncated };
                if let Some(place) = known.get_mut(sentence.as_str()) {
                    *place = Some(found.clone());
                }
                self.cache.insert(holder, sentence, found);
            }
        }
        let mut embeddings = Vec::with_capacity(sentences.len());
        for sentence in &sentences {
            let found =
                known.get(sentence.as_str()).and_then(Option::as_ref).expect("every sentence is computed by now");
            if found.is_truncated && !truncate {
                return Err(self.too_long(sentence));
            }
            cost.tokens += found.tokens;
            cost.truncated += usize::from(found.is_truncated);
            embeddings.push(found.embedding.clone());
        }
        self.metrics.truncated.inc_by(cost.truncated as u64);
        Ok((embeddings, cost))
    }

    async fn tokenize(&self, sentences: Vec<String>) -> Result<(Vec<String>, Vec<Tokenized>), ApiError> {
        let refused = |error: model::Error| ApiError::Tokenizer(error.to_string());
        if sentences.iter().map(String::len).sum::<usize>() <= MUCH {
            let tokenized = self.tokenizer.tokenize(&sentences).map_err(refused)?;
            return Ok((sentences, tokenized));
        }
        let tokenizer = self.tokenizer.clone();
        let (sentences, tokenized) = web::block(move || {
            let tokenized = tokenizer.tokenize(&sentences);
            (sentences, tokenized)
        })
        .await?;
        Ok((sentences, tokenized.map_err(refused)?))
    }

    fn refuse_long(&self, sentences: &[String], tokenized: &[Tokenized]) -> Result<(), ApiError> {
        let long = sentences.iter().zip(tokenized).find(|(_, tokenized)| tokenized.is_truncated);
        long.map_or(Ok(()), |(sentence, _)| Err(self.too_long(sentence)))
    }

    fn too_long(&self, sentence: &str) -> ApiError {
        let (most, start) = (self.max_seq_length(), sentence.chars().take(20).collect::<String>());
        ApiError::Invalid(format!(
            "the sentence that begins {start:?} has more than {most} tokens: shorten it, or set `truncate`"
        ))
    }
}

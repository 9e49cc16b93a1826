//! From a query and texts to their scores: cache, pair tokenizer and engine in one.

use std::{collections::HashMap, sync::Arc, time::Instant};

use actix_web::web;
use model::{PairTokenizer, ScoreActivation, TokenPair};

use crate::{
    cache::{EmbeddingCache, Holder, Known, Query},
    embedder::{Cost, MUCH},
    engine::{Admission, Engine},
    error::ApiError,
    metrics::Metrics,
};

/// What joining a text with a query costs, in bytes that are tokenized.
const JOIN: usize = 64;

/// Scores texts by reading each together with a query.
#[derive(Clone)]
pub(crate) struct Reranker {
    pub(crate) engine: Arc<Engine>,
    pub(crate) pairs: PairTokenizer,
    pub(crate) activation: ScoreActivation,
    pub(crate) cache: Arc<EmbeddingCache>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Reranker {
    /// Most tokens of a query and a text together.
    pub(crate) fn max_seq_length(&self) -> usize {
        self.pairs.max_seq_length()
    }

    /// The model's number of each text with the query, before any activation; without `truncate`, a pair that is too long is an
    /// error.
    pub(crate) async fn numbers(
        &self,
        holder: Holder,
        query: &str,
        texts: &[String],
        truncate: bool,
        admission: Admission,
    ) -> Result<(Vec<f32>, Cost), ApiError> {
        let mut known: HashMap<&str, Option<Known>> = HashMap::new();
        let key = Query::new(query);
        for text in texts {
            known.entry(text).or_insert_with(|| self.cache.get_pair(holder, key, text));
        }
        let missing: Vec<String> =
            known.iter().filter(|(_, known)| known.is_none()).map(|(text, _)| (*text).to_owned()).collect();
        let mut cost = Cost::default();
        if !missing.is_empty() {
            // A request that is going to be refused is not tokenized first.
            if admission == Admission::Bounded {
                self.engine.check_room(3 * missing.len())?;
            }
            let started = Instant::now();
            let (missing, tokens) = self.tokenize(query, missing).await?;
            cost.tokenization = started.elapsed();
            if !truncate && let Some(place) = tokens.iter().position(|pair| pair.is_truncated) {
                return Err(self.too_long(&missing[place]));
            }
            let marks: Vec<(usize, bool)> = tokens.iter().map(|pair| (pair.ids.len(), pair.is_truncated)).collect();
            let computed = self.engine.submit(tokens, admission)?.outcome().await?;
            (cost.queue, cost.inference) = (computed.queue, computed.inference);
            for ((text, number), (tokens, is_truncated)) in missing.into_iter().zip(computed.embeddings).zip(marks) {
                let found = Known { embedding: number, tokens, is_truncated };
                if let Some(place) = known.get_mut(text.as_str()) {
                    *place = Some(found.clone());
                }
                self.cache.insert_pair(holder, key, text, found);
            }
        }
        let mut numbers = Vec::with_capacity(texts.len());
        for text in texts {
            let found = known.get(text.as_str()).and_then(Option::as_ref).expect("every pair is computed by now");
            if found.is_truncated && !truncate {
                return Err(self.too_long(text));
            }
            cost.tokens += found.tokens;
            cost.truncated += usize::from(found.is_truncated);
            numbers.push(found.embedding[0]);
        }
        self.metrics.truncated.inc_by(cost.truncated as u64);
        Ok((numbers, cost))
    }

    /// The model's score of each text with the query: its number, behind its activation.
    pub(crate) async fn scores(
        &self,
        holder: Holder,
        query: &str,
        texts: &[String],
        truncate: bool,
        admission: Admission,
    ) -> Result<(Vec<f32>, Cost), ApiError> {
        let (mut numbers, cost) = self.numbers(holder, query, texts, truncate, admission).await?;
        numbers.iter_mut().for_each(|number| *number = self.activation.apply(*number));
        Ok((numbers, cost))
    }

    /// The query is tokenized once.
    async fn tokenize(&self, query: &str, texts: Vec<String>) -> Result<(Vec<String>, Vec<TokenPair>), ApiError> {
        let is_much = query.len() + texts.iter().map(|text| text.len() + JOIN).sum::<usize>() > MUCH;
        let (pairs, query) = (self.pairs.clone(), query.to_owned());
        let tokenize = move || {
            let all: Vec<&str> = std::iter::once(query.as_str()).chain(texts.iter().map(String::as_str)).collect();
            let places: Vec<[usize; 2]> = (1..all.len()).map(|place| [0, place]).collect();
            let tokens = pairs.encode(&all, &places);
            (texts, tokens)
        };
        let (texts, tokens) = if is_much { web::block(tokenize).await? } else { tokenize() };
        Ok((texts, tokens.map_err(|error| ApiError::Tokenizer(error.to_string()))?))
    }

    fn too_long(&self, text: &str) -> ApiError {
        let (most, start) = (self.max_seq_length(), text.chars().take(20).collect::<String>());
        ApiError::Invalid(format!(
            "the query and the text that begins {start:?} have more than {most} tokens: shorten them, or set `truncate`"
        ))
    }
}

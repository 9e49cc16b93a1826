//! Embeddings of sentences that were asked for before.
//!
//! A cache belongs to one engine, and an engine to one model in one number format. Whoever holds one API key finds nothing
//! of what another asked: an answer that comes sooner would tell.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use moka::{Equivalent, sync::Cache};

use crate::{engine::Embedding, metrics::Metrics};

/// Whose request it is: the number of the API key; where there are no keys, everybody is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Holder(pub(crate) u32);

impl FromRequest for Holder {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(request.extensions().get().copied().unwrap_or_default()))
    }
}

/// What is known of a sentence.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Its embedding.
    pub(crate) embedding: Embedding,
    /// Its tokens, special tokens included.
    pub(crate) tokens: usize,
    /// Whether it was cut at the model's number of tokens.
    pub(crate) is_truncated: bool,
}

/// Embeddings by their sentences, within a number of bytes.
pub(crate) struct EmbeddingCache {
    cache: Option<Cache<Key, Known>>,
    metrics: Arc<Metrics>,
}

impl EmbeddingCache {
    /// A cache of `mebibytes`; with 0, none.
    pub(crate) fn new(mebibytes: u32, metrics: Arc<Metrics>) -> Self {
        let cache = (mebibytes > 0).then(|| {
            Cache::builder()
                .max_capacity(u64::from(mebibytes) << 20)
                .weigher(|key: &Key, known| weight(&key.text, known))
                .build()
        });
        Self { cache, metrics }
    }

    /// What is known of a sentence.
    pub(crate) fn get(&self, holder: Holder, text: &str) -> Option<Known> {
        let found = self.cache.as_ref()?.get(&Asked { holder, text });
        if found.is_some() {
            self.metrics.cache_hits.inc()
        } else {
            self.metrics.cache_misses.inc()
        }
        found
    }

    /// What is known of two texts that are read together: the model's number.
    pub(crate) fn get_pair(&self, holder: Holder, query: &str, text: &str) -> Option<Known> {
        self.get(holder, &pair(query, text))
    }

    /// Keeps what is known of two texts that are read together.
    pub(crate) fn insert_pair(&self, holder: Holder, query: &str, text: &str, known: Known) {
        self.insert(holder, pair(query, text), known);
    }

    /// Keeps what is known of a sentence.
    pub(crate) fn insert(&self, holder: Holder, text: String, known: Known) {
        if let Some(cache) = &self.cache {
            cache.insert(Key { holder, text }, known);
            self.metrics.cache_entries.set(cache.entry_count() as i64);
        }
    }
}

/// The key of a pair. A sentence cannot have it: no text has the byte that begins it, and the length tells where one text
/// ends.
fn pair(query: &str, text: &str) -> String {
    format!("\u{0}{}:{query}{text}", query.len())
}

/// A sentence that somebody asked for.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    holder: Holder,
    text: String,
}

/// The same, borrowed: its hash is that of the key.
#[derive(Hash)]
struct Asked<'a> {
    holder: Holder,
    text: &'a str,
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.holder == key.holder && self.text == key.text
    }
}

/// Bytes of an entry, the cache's own among them.
fn weight(text: &str, known: &Known) -> u32 {
    const OVERHEAD: usize = 200;
    u32::try_from(text.len() + 4 * known.embedding.len() + OVERHEAD).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(hidden: usize) -> Known {
        Known { embedding: vec![0.5; hidden].into(), tokens: 3, is_truncated: false }
    }

    #[test]
    fn a_cache_stays_within_its_mebibytes() {
        let cache = EmbeddingCache::new(1, Arc::default());
        for number in 0..5_000 {
            cache.insert(Holder(0), number.to_string(), known(256));
        }
        let inner = cache.cache.as_ref().unwrap();
        inner.run_pending_tasks();
        assert!(inner.weighted_size() <= 1 << 20, "{}", inner.weighted_size());
        assert!(inner.entry_count() > 500, "{}", inner.entry_count());
    }

    #[test]
    fn hits_and_misses_are_counted() {
        let metrics = Arc::new(Metrics::new());
        let cache = EmbeddingCache::new(1, metrics.clone());
        assert!(cache.get(Holder(0), "가").is_none());
        cache.insert(Holder(0), "가".to_owned(), known(4));
        assert_eq!(cache.get(Holder(0), "가").unwrap().tokens, 3);
        assert_eq!((metrics.cache_hits.get(), metrics.cache_misses.get()), (1, 1));
    }

    #[test]
    fn whoever_holds_another_key_finds_nothing() {
        let cache = EmbeddingCache::new(1, Arc::default());
        cache.insert(Holder(0), "가".to_owned(), known(4));
        assert!(cache.get(Holder(1), "가").is_none());
        assert!(cache.get(Holder(0), "가").is_some());
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let cache = EmbeddingCache::new(0, Arc::default());
        cache.insert(Holder(0), "가".to_owned(), known(4));
        assert!(cache.get(Holder(0), "가").is_none());
    }
}

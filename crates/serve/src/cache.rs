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
use sha2::{Digest, Sha256};

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
        self.find(Asked { holder, query: None, text })
    }

    /// What is known of a text that is read together with a query: the model's number.
    pub(crate) fn get_pair(&self, holder: Holder, query: Query, text: &str) -> Option<Known> {
        self.find(Asked { holder, query: Some(query), text })
    }

    fn find(&self, asked: Asked<'_>) -> Option<Known> {
        let found = self.cache.as_ref()?.get(&asked);
        if found.is_some() {
            self.metrics.cache_hits.inc()
        } else {
            self.metrics.cache_misses.inc()
        }
        found
    }

    /// Keeps what is known of a text that is read together with a query.
    pub(crate) fn insert_pair(&self, holder: Holder, query: Query, text: String, known: Known) {
        self.keep(Key { holder, query: Some(query), text }, known);
    }

    /// Keeps what is known of a sentence.
    pub(crate) fn insert(&self, holder: Holder, text: String, known: Known) {
        self.keep(Key { holder, query: None, text }, known);
    }

    fn keep(&self, key: Key, known: Known) {
        if let Some(cache) = &self.cache {
            cache.insert(key, known);
            self.metrics.cache_entries.set(cache.entry_count() as i64);
        }
    }
}

/// A query by its digest, which is made once for all texts that it is read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Query([u8; 32]);

impl Query {
    pub(crate) fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }
}

/// A sentence that somebody asked for, by itself or with a query.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    holder: Holder,
    query: Option<Query>,
    text: String,
}

/// The same, borrowed: its hash is that of the key.
#[derive(Hash)]
struct Asked<'a> {
    holder: Holder,
    query: Option<Query>,
    text: &'a str,
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.holder == key.holder && self.query == key.query && self.text == key.text
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
    fn a_sentence_and_a_pair_are_never_taken_for_each_other() {
        let cache = EmbeddingCache::new(1, Arc::default());
        let query = Query::new("가");
        cache.insert_pair(Holder(0), query, "나".to_owned(), known(1));
        for sentence in ["나", "가나", "\u{0}3:가나"] {
            assert!(cache.get(Holder(0), sentence).is_none(), "{sentence:?}");
        }
        assert!(cache.get_pair(Holder(0), Query::new("나"), "나").is_none());
        cache.insert(Holder(0), "다".to_owned(), known(4));
        assert!(cache.get_pair(Holder(0), query, "다").is_none());
        assert_eq!(cache.get_pair(Holder(0), query, "나").unwrap().embedding.len(), 1);
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let cache = EmbeddingCache::new(0, Arc::default());
        cache.insert(Holder(0), "가".to_owned(), known(4));
        assert!(cache.get(Holder(0), "가").is_none());
    }
}

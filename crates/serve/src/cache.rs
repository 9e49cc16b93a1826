//! Embeddings of sentences that were asked for before.
//!
//! A cache belongs to one engine, and an engine to one model in one number format, so the text alone is the key.

use std::sync::Arc;

use moka::sync::Cache;

use crate::{engine::Embedding, metrics::Metrics};

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
    cache: Option<Cache<String, Known>>,
    metrics: Arc<Metrics>,
}

impl EmbeddingCache {
    /// A cache of `mebibytes`; with 0, none.
    pub(crate) fn new(mebibytes: u32, metrics: Arc<Metrics>) -> Self {
        let cache = (mebibytes > 0).then(|| {
            Cache::builder()
                .max_capacity(u64::from(mebibytes) << 20)
                .weigher(|text: &String, known| weight(text, known))
                .build()
        });
        Self { cache, metrics }
    }

    /// What is known of a sentence.
    pub(crate) fn get(&self, text: &str) -> Option<Known> {
        let found = self.cache.as_ref()?.get(text);
        if found.is_some() {
            self.metrics.cache_hits.inc()
        } else {
            self.metrics.cache_misses.inc()
        }
        found
    }

    /// Keeps what is known of a sentence.
    pub(crate) fn insert(&self, text: String, known: Known) {
        if let Some(cache) = &self.cache {
            cache.insert(text, known);
            self.metrics.cache_entries.set(cache.entry_count() as i64);
        }
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
            cache.insert(number.to_string(), known(256));
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
        assert!(cache.get("가").is_none());
        cache.insert("가".to_owned(), known(4));
        assert_eq!(cache.get("가").unwrap().tokens, 3);
        assert_eq!((metrics.cache_hits.get(), metrics.cache_misses.get()), (1, 1));
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        let cache = EmbeddingCache::new(0, Arc::default());
        cache.insert("가".to_owned(), known(4));
        assert!(cache.get("가").is_none());
    }
}

//! Counters and histograms for Prometheus; those that text-embeddings-inference has too bear its names.

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder, core::Collector, exponential_buckets,
};

/// The metrics of one server.
pub(crate) struct Metrics {
    registry: Registry,
    /// Requests by method, route and status.
    pub(crate) requests: IntCounterVec,
    /// Seconds from a request's head to its answer, by route.
    pub(crate) duration: HistogramVec,
    /// Seconds of tokenizing a request.
    pub(crate) tokenization: Histogram,
    /// Seconds that a request waited for its first batch.
    pub(crate) queue: Histogram,
    /// Seconds of the batches that a request was part of.
    pub(crate) inference: Histogram,
    /// Requests that wait.
    pub(crate) queue_size: IntGauge,
    /// Tokens that wait.
    pub(crate) queue_tokens: IntGauge,
    /// Those of requests that fit into a batch.
    pub(crate) short_queue_tokens: IntGauge,
    /// Sentences of a batch.
    pub(crate) batch_size: Histogram,
    /// Tokens of a batch.
    pub(crate) batch_tokens: Histogram,
    /// Embeddings found in the cache.
    pub(crate) cache_hits: IntCounter,
    /// Embeddings looked for in vain.
    pub(crate) cache_misses: IntCounter,
    /// Embeddings in the cache.
    pub(crate) cache_entries: IntGauge,
    /// Sentences that were cut at the model's number of tokens.
    pub(crate) truncated: IntCounter,
}

impl Metrics {
    /// Metrics that stand at nothing.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let seconds = || exponential_buckets(0.0005, 2.0, 18).expect("ascending buckets"); // to a minute
        let sizes = |count| exponential_buckets(1.0, 2.0, count).expect("ascending buckets");
        let counter = |name, help| register(&registry, IntCounter::new(name, help));
        let gauge = |name, help| register(&registry, IntGauge::new(name, help));
        let histogram = |name, help, buckets| {
            register(&registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)))
        };
        let requests = Opts::new("te_request_count", "Requests answered");
        let duration = HistogramOpts::new("te_request_duration", "Seconds from a request's head to its answer");
        Self {
            requests: register(&registry, IntCounterVec::new(requests, &["method", "route", "status"])),
            duration: register(&registry, HistogramVec::new(duration.buckets(seconds()), &["route"])),
            tokenization: histogram("te_request_tokenization_duration", "Seconds of tokenizing a request", seconds()),
            queue: histogram("te_request_queue_duration", "Seconds that a request waited for its batch", seconds()),
            inference: histogram("te_request_inference_duration", "Seconds of a request's batches", seconds()),
            queue_size: gauge("te_queue_size", "Requests that wait"),
            queue_tokens: gauge("te_queue_tokens", "Tokens that wait within the queue's limit"),
            short_queue_tokens: gauge(
                "te_short_queue_tokens",
                "Tokens that wait, of requests that fit into a batch: what another replica would take over",
            ),
            batch_size: histogram("te_batch_next_size", "Sentences of a batch", sizes(13)),
            batch_tokens: histogram("te_batch_next_tokens", "Tokens of a batch", sizes(16)),
            cache_hits: counter("te_cache_hits", "Embeddings found in the cache"),
            cache_misses: counter("te_cache_misses", "Embeddings that the cache did not hold"),
            cache_entries: gauge("te_cache_entries", "Embeddings in the cache"),
            truncated: counter("te_truncated_count", "Sentences cut at the model's number of tokens"),
            registry,
        }
    }

    /// All of them in Prometheus's text format.
    pub(crate) fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn register<T: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<T>) -> T {
    let metric = metric.expect("a valid metric");
    registry.register(Box::new(metric.clone())).expect("a name of its own");
    metric
}

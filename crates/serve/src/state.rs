//! What the handlers of a server share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use embed::Corpus;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    budget::Budget,
    embedder::Embedder,
    engine::Engine,
    error::ApiError,
    metrics::Metrics,
    reranker::Reranker,
    settings::{ApiKeys, Limits, Settings, Timeouts},
    types::Info,
};

const CSV_RETRY: u64 = 30; // seconds after which a client that found every place taken may try again

/// Searches that may be under way: each holds a number for every row, and all of them share the memory's bandwidth.
const SEARCHES: usize = 32;

/// Of the requests at a time, one in so many may have a large body: pairs find a place whatever is uploaded.
const LARGE_PART: usize = 2;

/// Seconds after which a client that found every place taken may try again.
const PLACE_RETRY: u64 = 1;

/// Uploads that may be under way for each file that may be in work: a slow client keeps nobody's place there.
const UPLOADS_PER_JOB: usize = 8;

/// State of the server, shared by its threads.
pub struct State {
    /// What computes.
    pub(crate) engine: Arc<Engine>,
    /// From sentences to embeddings, if there is a model for it.
    embedder: Option<Embedder>,
    /// From a query and texts to scores, if there is a model for it.
    pub(crate) reranker: Option<Reranker>,
    /// What is searched, if anything.
    pub(crate) corpus: Option<Arc<Corpus>>,
    /// What `GET /info` says.
    pub(crate) info: Info,
    /// How large things may be.
    pub(crate) limits: Limits,
    /// How long things may take.
    pub(crate) timeouts: Timeouts,
    /// Keys of which one is needed.
    pub(crate) keys: ApiKeys,
    /// Origins whose pages may call.
    pub(crate) cors_origins: Vec<String>,
    /// Counters and histograms.
    pub(crate) metrics: Arc<Metrics>,
    /// Host names that requests may be for, beside this machine's own.
    pub(crate) allowed_hosts: Vec<String>,
    /// Memory of bodies and answers.
    pub(crate) budget: Budget,
    /// The threads that search: those that tokenize are others, lest a sentence waits for a scan.
    pub(crate) search_pool: Arc<rayon::ThreadPool>,
    request_places: Arc<Semaphore>,
    large_places: Arc<Semaphore>,
    csv_places: Arc<Semaphore>,
    upload_places: Arc<Semaphore>,
    search_places: Arc<Semaphore>,
    is_draining: AtomicBool,
    in_hand: AtomicUsize,
}

impl State {
    /// The state of a server that takes requests.
    pub(crate) fn new(
        engine: Arc<Engine>,
        embedder: Option<Embedder>,
        reranker: Option<Reranker>,
        corpus: Option<Corpus>,
        info: Info,
        settings: &Settings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let most = settings.limits.max_concurrent_requests;
        let search_pool = rayon::ThreadPoolBuilder::new().thread_name(|index| format!("search-{index}")).build()?;
        Ok(Self {
            engine,
            embedder,
            reranker,
            corpus: corpus.map(Arc::new),
            info,
            limits: settings.limits,
            timeouts: settings.timeouts,
            keys: settings.keys.clone(),
            cors_origins: settings.cors_origins.clone(),
            metrics,
            allowed_hosts: settings.allowed_hosts.clone(),
            budget: Budget::new(settings.limits.max_memory_bytes),
            search_pool: Arc::new(search_pool),
            request_places: Arc::new(Semaphore::new(most)),
            large_places: Arc::new(Semaphore::new(most.div_ceil(LARGE_PART))),
            csv_places: Arc::new(Semaphore::new(settings.limits.max_csv_jobs)),
            upload_places: Arc::new(Semaphore::new(settings.limits.max_csv_jobs * UPLOADS_PER_JOB)),
            search_places: Arc::new(Semaphore::new(SEARCHES)),
            is_draining: AtomicBool::new(false),
            in_hand: AtomicUsize::new(0),
        })
    }

    /// From sentences to embeddings.
    pub(crate) fn embedder(&self) -> Result<&Embedder, ApiError> {
        self.embedder.as_ref().ok_or(ApiError::NoEncoder)
    }

    /// A place for a request, kept until its answer is taken.
    pub(crate) fn request_place(&self, is_large: bool) -> Result<Place, ApiError> {
        let full = |_| ApiError::Busy { retry_after: PLACE_RETRY };
        let large = is_large.then(|| self.large_places.clone().try_acquire_owned()).transpose().map_err(full)?;
        let any = self.request_places.clone().try_acquire_owned().map_err(full)?;
        Ok(Place { _any: any, _large: large })
    }

    /// A place for a CSV file in work, kept until it is dropped.
    pub(crate) fn csv_place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        place(&self.csv_places)
    }

    /// A place for a CSV file that is being received, kept until it is dropped. There is none while every place for files
    /// in work is taken: what would be refused is not received first.
    pub(crate) fn upload_place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        drop(self.csv_place()?);
        place(&self.upload_places)
    }

    /// A place for a search, kept until it is dropped.
    pub(crate) fn search_place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.search_places.clone().try_acquire_owned().map_err(|_| ApiError::Overloaded { retry_after: 1 })
    }

    /// Fails if the server does not take requests.
    pub(crate) fn check_health(&self) -> Result<(), ApiError> {
        if self.is_draining() {
            return Err(ApiError::Unhealthy("the server is shutting down"));
        }
        if !self.engine.is_running() {
            return Err(ApiError::Unhealthy("the engine has stopped"));
        }
        if self.engine.in_work().is_some_and(|time| time > self.timeouts.stuck_after) {
            return Err(ApiError::Unhealthy("the engine is stuck: a batch takes longer than stuck_after"));
        }
        Ok(())
    }

    /// From here on new work is refused.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
    }

    /// Whether new work is refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    /// Requests in hand.
    pub(crate) fn in_hand(&self) -> usize {
        self.in_hand.load(Ordering::SeqCst)
    }

    /// Counts a request as in hand until the guard is dropped.
    pub(crate) fn take_in_hand(self: &Arc<Self>) -> InHand {
        self.in_hand.fetch_add(1, Ordering::SeqCst);
        InHand(self.clone())
    }
}

fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    places.clone().try_acquire_owned().map_err(|_| ApiError::Overloaded { retry_after: CSV_RETRY })
}

/// A request's place among those that are answered at a time.
pub(crate) struct Place {
    _any: OwnedSemaphorePermit,
    _large: Option<OwnedSemaphorePermit>,
}

/// A request in hand.
pub(crate) struct InHand(Arc<State>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::SeqCst);
    }
}

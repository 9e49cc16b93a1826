//! What the handlers of a server share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use embed::Corpus;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    embedder::Embedder,
    error::ApiError,
    metrics::Metrics,
    settings::{ApiKeys, Limits, Settings, Timeouts},
    types::Info,
};

const CSV_RETRY: u64 = 30; // seconds after which a client that found every place taken may try again

/// Searches that may be under way: each holds a number for every row, and all of them share the memory's bandwidth.
const SEARCHES: usize = 32;

/// Uploads that may be under way for each file that may be in work: a slow client keeps nobody's place there.
const UPLOADS_PER_JOB: usize = 8;

/// State of the server, shared by its threads.
pub struct State {
    /// From sentences to embeddings.
    pub(crate) embedder: Embedder,
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
    csv_places: Arc<Semaphore>,
    upload_places: Arc<Semaphore>,
    search_places: Arc<Semaphore>,
    is_draining: AtomicBool,
    in_hand: AtomicUsize,
}

impl State {
    /// The state of a server that takes requests.
    pub(crate) fn new(
        embedder: Embedder,
        corpus: Option<Corpus>,
        info: Info,
        settings: &Settings,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            embedder,
            corpus: corpus.map(Arc::new),
            info,
            limits: settings.limits,
            timeouts: settings.timeouts,
            keys: settings.keys.clone(),
            cors_origins: settings.cors_origins.clone(),
            metrics,
            csv_places: Arc::new(Semaphore::new(settings.limits.max_csv_jobs)),
            upload_places: Arc::new(Semaphore::new(settings.limits.max_csv_jobs * UPLOADS_PER_JOB)),
            search_places: Arc::new(Semaphore::new(SEARCHES)),
            is_draining: AtomicBool::new(false),
            in_hand: AtomicUsize::new(0),
        }
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
        if self.is_draining.load(Ordering::SeqCst) {
            return Err(ApiError::Unhealthy("the server is shutting down"));
        }
        if !self.embedder.engine().is_running() {
            return Err(ApiError::Unhealthy("the engine has stopped"));
        }
        Ok(())
    }

    /// From here on new work is refused.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
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

/// A request in hand.
pub(crate) struct InHand(Arc<State>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::SeqCst);
    }
}

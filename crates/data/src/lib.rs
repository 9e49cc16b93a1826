//! Sentence-pair datasets for semantic textual similarity, and what a model is taught before them: where they lie, how they
//! are read, split and described.
//!
//! ```no_run
//! use data::{DataDir, Dataset, stratified_split};
//!
//! let dir = DataDir::new(None);
//! let dataset = Dataset::load("klue-sts:train", &dir)?;
//! let split = stratified_split(&dataset.pairs, 0.1, 42)?;
//! assert_eq!(split.train.len() + split.dev.len(), dataset.pairs.len());
//! # Ok::<(), data::Error>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

mod canonical;
mod catalogue;
mod chart;
mod csv_writer;
mod data_dir;
mod dataset;
mod error;
mod exclusion;
mod fetch;
mod histogram;
mod pair;
mod pair_file;
mod reader;
mod reading;
mod repeated;
mod scale;
mod sentences;
mod sources;
mod spec;
mod split;
mod splitting;
mod statistics;
mod text;
mod triplets;

pub use canonical::canonical;
pub use chart::write_histograms;
pub use csv_writer::{SplitFiles, write_pairs, write_split};
pub use data_dir::DataDir;
pub use dataset::Dataset;
pub use error::{Error, Problem, is_wrong_use};
pub use exclusion::Exclusion;
pub use fetch::{Fetcher, Outcome};
pub use histogram::Histogram;
pub use pair::{SentencePair, doubt_of_scale, score_of};
pub use pair_file::PairFile;
pub use reading::{PairColumns, Reading, ReadingArguments};
pub use repeated::refuse_repeated;
pub use scale::{MAX_SCORE, Scale};
pub use sentences::{locate, sentences};
pub use sources::{SOURCES, Source, UPSTREAM};
pub use split::{Split, stratified_split};
pub use statistics::{Lengths, ScoreStatistics, Statistics};
pub use text::{BlockPlace, TextBlocks, TextFile};
pub use triplets::{POSITIVE_SCORE, Triplet, TripletSet, UnmatchedPair};

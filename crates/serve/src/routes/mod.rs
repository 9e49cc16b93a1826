//! One handler for each route: it reads, checks, asks the engine and answers.

pub(crate) mod embed;
pub(crate) mod health;
pub(crate) mod info;
pub(crate) mod metrics;
pub(crate) mod openai;
pub(crate) mod page;
pub(crate) mod predict;
pub(crate) mod rank;
pub(crate) mod rerank;
pub(crate) mod root;
pub(crate) mod search;
pub(crate) mod similarity;

use crate::{error::ApiError, state::State};

/// Refuses a sentence of nothing but white space.
fn check_sentence(name: &str, sentence: &str) -> Result<(), ApiError> {
    if sentence.trim().is_empty() {
        return Err(ApiError::Empty(format!("`{name}` is empty")));
    }
    Ok(())
}

/// Refuses a list that is empty, too long, or has an empty sentence in it.
fn check_sentences(name: &str, sentences: &[String], state: &State) -> Result<(), ApiError> {
    if sentences.is_empty() {
        return Err(ApiError::Empty(format!("`{name}` is empty")));
    }
    let (count, most) = (sentences.len(), state.limits.max_client_batch_size);
    if count > most {
        let what = format!("`{name}` has {count} sentences, and the server's max_client_batch_size is {most}");
        return Err(ApiError::TooLarge(what));
    }
    match sentences.iter().position(|sentence| sentence.trim().is_empty()) {
        Some(index) => Err(ApiError::Empty(format!("`{name}[{index}]` is empty"))),
        None => Ok(()),
    }
}

//! From pairs of texts to token ids: each text is tokenized once, whatever it is paired with.
//!
//! Source: transformers, a tokenizer's call on two lists with `truncation=True`, which is the library's `LongestFirst`.

use std::{borrow::Cow, sync::Arc};

use rayon::prelude::*;
use serde_json::Value;
use tokenizers::{Encoding, PostProcessor, PostProcessorWrapper};

use super::{FEW, Tokenizer};
use crate::{composed::composed, error::Error, sequence::TokenPair};

/// A tokenizer of pairs of texts, which truncates the longer one at a number of tokens in all. A copy shares its memory.
#[derive(Clone, Debug)]
pub struct PairTokenizer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pieces: tokenizers::Tokenizer, // without frame and truncation
    frame: Option<PostProcessorWrapper>,
    special_tokens: usize, // that frame a pair
    max_seq_length: usize,
    embeddings: usize, // ids from here on have none
    gives_types: bool, // to tell the two texts apart
}

impl Tokenizer {
    /// The tokenizer of pairs; `types` is how many types of tokens the encoder tells apart.
    ///
    /// # Errors
    /// Where special tokens leave no room for two texts.
    pub(crate) fn pairs(&self, types: i64) -> Result<PairTokenizer, Error> {
        let (mut pieces, max_seq_length) = (self.inner.clone(), self.max_seq_length);
        pieces.with_truncation(None).map_err(refused)?;
        let frame = pieces.get_post_processor().cloned();
        let special_tokens = pieces.encode_fast(("", ""), true).map_err(refused)?.len();
        pieces.with_post_processor(None::<PostProcessorWrapper>);
        if special_tokens + 2 > max_seq_length {
            return Err(Error::Unusable(format!(
                "max_seq_length is {max_seq_length}, and {special_tokens} special tokens leave no room for two texts"
            )));
        }
        // Source: transformers, `model_input_names`.
        let names = self.config.get("model_input_names").and_then(Value::as_array);
        let names_types = names.is_none_or(|names| names.iter().any(|name| name == "token_type_ids"));
        let (embeddings, gives_types) = (self.embeddings, types > 1 && names_types);
        Ok(PairTokenizer(Arc::new(Inner { pieces, frame, special_tokens, max_seq_length, embeddings, gives_types })))
    }
}

fn refused(error: tokenizers::Error) -> Error {
    Error::Tokenizer(error.to_string())
}

impl PairTokenizer {
    /// Most tokens of a pair, special tokens included.
    pub fn max_seq_length(&self) -> usize {
        self.0.max_seq_length
    }

    /// Whether the tokens of the second text are of another type than those of the first.
    pub(crate) fn gives_types(&self) -> bool {
        self.0.gives_types
    }

    /// Token ids of pairs, which are given by the places of their texts among `texts`, on all cores.
    ///
    /// # Errors
    /// Where a text has a token that is beyond the vocabulary.
    ///
    /// # Panics
    /// If there is no such text.
    pub fn encode(&self, texts: &[impl AsRef<str>], pairs: &[[usize; 2]]) -> Result<Vec<TokenPair>, Error> {
        let texts: Vec<Cow<'_, str>> = texts.iter().map(|text| composed(text.as_ref())).collect();
        let pieces = self.0.pieces.encode_batch_fast(texts, false).map_err(refused)?;
        pairs.par_iter().with_min_len(FEW).map(|places| self.0.join(places.map(|place| &pieces[place]))).collect()
    }
}

/// How many tokens of two texts are kept for `most` in all: of the longer one fewer. Source: the library's `LongestFirst`.
fn kept_lengths(first: usize, second: usize, most: usize) -> (usize, usize) {
    if first + second <= most {
        return (first, second);
    }
    let shorter = first.min(second);
    let (shorter, longer) = match 2 * shorter <= most {
        true => (shorter, most - shorter),
        false => (most / 2, most / 2 + most % 2),
    };
    if first > second { (longer, shorter) } else { (shorter, longer) }
}

/// The first tokens of a text, of a type.
fn head(text: &Encoding, count: usize, token_type: u32) -> Encoding {
    Encoding::new(
        text.get_ids()[..count].to_vec(),
        vec![token_type; count],
        text.get_tokens()[..count].to_vec(),
        text.get_word_ids()[..count].to_vec(),
        text.get_offsets()[..count].to_vec(),
        text.get_special_tokens_mask()[..count].to_vec(),
        text.get_attention_mask()[..count].to_vec(),
        Vec::new(),
        Default::default(),
    )
}

impl Inner {
    fn join(&self, [first, second]: [&Encoding; 2]) -> Result<TokenPair, Error> {
        let most = self.max_seq_length - self.special_tokens;
        let is_truncated = first.len() + second.len() > most;
        let (one, other) = kept_lengths(first.len(), second.len(), most);
        // What is cut off is never copied: the library would keep it, for each pair anew.
        let (mut first, second) = (head(first, one, 0), head(second, other, 1));
        let joined = match &self.frame {
            Some(frame) => frame.process(first, Some(second), true).map_err(refused)?,
            None => {
                first.merge_with(second, false);
                first
            }
        };
        let ids: Vec<i64> = joined.get_ids().iter().map(|&id| i64::from(id)).collect();
        if let Some(id) = ids.iter().find(|&&id| id >= self.embeddings as i64) {
            return Err(Error::Tokenizer(format!("id {id} is beyond the vocabulary of {}", self.embeddings)));
        }
        // Of a model that does not tell two texts apart, all are of one type.
        let types = joined.get_type_ids();
        let second = types.iter().position(|&token_type| token_type != 0).filter(|_| self.gives_types);
        let second = second.unwrap_or(ids.len());
        if !types[second..].iter().all(|&token_type| token_type == 1) {
            return Err(Error::Tokenizer("the types of a pair's tokens are other than 0 and then 1".to_owned()));
        }
        Ok(TokenPair { ids, second, is_truncated })
    }
}

#[cfg(test)]
mod tests {
    use tokenizers::{TruncationParams, TruncationStrategy, utils::truncation::truncate_encodings};

    use super::*;

    fn encoding(count: usize) -> Encoding {
        let tokens = vec![tokenizers::Token::new(7, "가".to_owned(), (0, 1)); count];
        Encoding::from_tokens(tokens, 0)
    }

    #[test]
    fn as_many_tokens_are_kept_as_the_library_keeps() {
        for most in 2..12 {
            for (first, second) in (0..16).flat_map(|first| (0..16).map(move |second| (first, second))) {
                let params = TruncationParams {
                    max_length: most,
                    strategy: TruncationStrategy::LongestFirst,
                    ..TruncationParams::default()
                };
                let (one, other) = truncate_encodings(encoding(first), Some(encoding(second)), &params).unwrap();
                let expected = (one.len(), other.unwrap().len());
                assert_eq!(kept_lengths(first, second, most), expected, "{first} and {second} of {most}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_not_kept() {
        let head = head(&encoding(1000), 10, 1);
        assert!(head.get_overflowing().is_empty() && head.get_type_ids() == [1; 10]);
    }
}

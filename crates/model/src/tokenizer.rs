//! From sentences to token ids, by the `tokenizers` crate.

mod class;
mod files;
mod pairs;
mod special;

use std::{borrow::Cow, collections::BTreeSet, path::Path};

use serde_json::{Map, Value, json};
use tokenizers::{
    Encoding, NormalizerWrapper, TruncationDirection, TruncationParams,
    normalizers::{Lowercase, Sequence},
};

pub use self::pairs::PairTokenizer;
use crate::{
    composed::composed,
    error::{Error, read_text},
    wordpiece::{self, Alphabet},
};

/// Fewer sentences than this are tokenized sooner here than on other threads.
const FEW: usize = 8;

/// The tokens of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokenized {
    /// Their ids, special tokens included.
    pub ids: Vec<i64>,
    /// Whether the sentence had more of them than the encoder takes.
    pub is_truncated: bool,
}

/// A tokenizer that truncates at a number of tokens, special tokens included.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    config: Map<String, Value>, // of tokenizer_config.json, kept for writing it back
    max_seq_length: usize,
    special_tokens: usize, // that frame a sentence
    vocab_size: usize,
    embeddings: usize, // ids from here on have none
    lowercase: bool,
    prompt: String,  // before every text
    is_framed: bool, // by special tokens
}

impl Tokenizer {
    /// Loads the tokenizer of a model directory as transformers 5 does: by the class that `tokenizer_config.json`,
    /// `config.json` or the family of the model names, from `tokenizer.json` or, for BERT's, `vocab.txt`.
    ///
    /// # Errors
    /// Where a file of it is not what it should be, or the class is not supported.
    pub fn load(dir: &Path, max_seq_length: usize) -> Result<Self, Error> {
        Self::load_with(dir, max_seq_length, &Map::new())
    }

    /// The same with arguments that stand above the keys of `tokenizer_config.json`.
    pub(crate) fn load_with(dir: &Path, max_seq_length: usize, arguments: &Map<String, Value>) -> Result<Self, Error> {
        let files::Read { inner, config } = files::read(dir, arguments)?;
        Self::new(inner, config, max_seq_length)
    }

    /// Loads that of a static embedding: `tokenizer.json` alone, without special tokens around a text, which may then have no
    /// token at all; the file's own bound of tokens holds. Source: sentence-transformers, `StaticEmbedding`.
    pub(crate) fn load_unframed(dir: &Path, max_seq_length: usize) -> Result<Self, Error> {
        let path = dir.join("tokenizer.json");
        let inner = files::library(read_text(&path)?.as_bytes(), &path)?;
        let own = inner.get_truncation().map_or(usize::MAX, |truncation| truncation.max_length);
        let framed = Self::new(inner, Map::new(), max_seq_length.min(own))?;
        Ok(Self { special_tokens: 0, is_framed: false, ..framed })
    }

    /// Loads a `tokenizer.json` that stands alone.
    pub fn from_file(path: &Path, max_seq_length: usize) -> Result<Self, Error> {
        Self::new(files::library(read_text(path)?.as_bytes(), path)?, Map::new(), max_seq_length)
    }

    /// Trains a WordPiece tokenizer with a vocabulary of at most `vocab_size` entries, put together from `alphabet`; equal
    /// input gives an equal tokenizer.
    ///
    /// # Errors
    /// Where `vocab_size` has no room for the characters of the sentences, or `max_seq_length` for more than special tokens.
    pub fn train(
        sentences: &[impl AsRef<str>],
        alphabet: Alphabet,
        vocab_size: usize,
        max_seq_length: usize,
    ) -> Result<Self, Error> {
        let inner = wordpiece::train(sentences, alphabet, vocab_size).map_err(Error::Tokenizer)?;
        Self::new(inner, Map::new(), max_seq_length)
    }

    fn new(mut inner: tokenizers::Tokenizer, config: Map<String, Value>, max_seq_length: usize) -> Result<Self, Error> {
        if max_seq_length < 3 {
            return Err(Error::Unusable(format!(
                "max_seq_length is {max_seq_length}, expected at least 3: two of them are special tokens"
            )));
        }
        let refused = |error: tokenizers::Error| Error::Tokenizer(error.to_string());
        let own = inner.get_truncation().is_some_and(|truncation| truncation.direction == TruncationDirection::Left);
        let side = config.get("truncation_side").and_then(Value::as_str);
        if side.map_or(own, |side| side != "right") {
            return Err(Error::Unusable("truncation_side `left` is not supported, expected right".to_owned()));
        }
        inner.with_padding(None);
        inner.with_truncation(None).map_err(refused)?;
        // Truncation by the library leaves room for the special tokens, and takes for granted that there is some.
        let special = inner.encode_fast("", true).map_err(refused)?.len();
        if special >= max_seq_length {
            let what = format!(
                "max_seq_length is {max_seq_length}, and {special} special tokens leave no room for a sentence"
            );
            return Err(Error::Unusable(what));
        }
        let truncation = TruncationParams { max_length: max_seq_length, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(refused)?;
        let vocab_size = inner.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1);
        let (special_tokens, embeddings) = (special, vocab_size);
        Ok(Self {
            inner,
            config,
            max_seq_length,
            special_tokens,
            vocab_size,
            embeddings,
            lowercase: false,
            prompt: String::new(),
            is_framed: true,
        })
    }

    /// The tokenizer that puts a prompt before every text.
    pub fn with_prompt(self, prompt: &str) -> Self {
        Self { prompt: prompt.to_owned(), ..self }
    }

    /// What it puts before every text; empty where it is nothing.
    pub fn prompt(&self) -> &str {
        &self.prompt
    }

    /// First tokens of a text that are a prompt's: special ones before it are counted, and one behind it is not. Source:
    /// sentence-transformers, `Transformer._get_prompt_length`.
    pub(crate) fn prompt_length(&self, prompt: &str) -> Result<usize, Error> {
        if prompt.is_empty() {
            return Ok(0);
        }
        let ids = self.encode(&[prompt])?.remove(0);
        let ends_special = ids.last().is_some_and(|id| self.special_token_ids().contains(id));
        Ok(ids.len() - usize::from(ends_special))
    }

    /// The tokenizer with every text brought to lower case before its own rules, special tokens in it left as they are.
    /// Source: sentence-transformers 6, `do_lower_case` of `Transformer`.
    pub(crate) fn with_lowercase(mut self) -> Result<Self, Error> {
        self.lowercase = true;
        let rules = match self.inner.get_normalizer().cloned() {
            Some(NormalizerWrapper::Sequence(rules)) => rules.as_ref().to_vec(),
            rules => rules.into_iter().collect(),
        };
        if !rules.iter().any(|rule| matches!(rule, NormalizerWrapper::Lowercase(_))) {
            let first = std::iter::once(Lowercase.into());
            let refused = |error: tokenizers::Error| Error::Tokenizer(error.to_string());
            self.inner.with_normalizer(Some(Sequence::new(first.chain(rules).collect()))).map_err(refused)?;
        }
        Ok(self)
    }

    /// The tokenizer of an encoder with so many token embeddings. Added tokens may be beyond them, as in transformers: then a
    /// text that has one is refused, and all others are not.
    ///
    /// # Errors
    /// Where the subwords themselves have ids that are beyond them.
    pub(crate) fn with_embeddings(self, embeddings: usize) -> Result<Self, Error> {
        match self.inner.get_vocab(false).into_values().max() {
            Some(id) if id as usize >= embeddings => Err(Error::Unusable(format!(
                "the tokenizer has ids up to {id}, and the encoder's vocab_size is {embeddings}"
            ))),
            _ => Ok(Self { embeddings, ..self }),
        }
    }

    /// Most tokens of a sentence, special tokens included.
    pub fn max_seq_length(&self) -> usize {
        self.max_seq_length
    }

    pub(crate) fn lowercase(&self) -> bool {
        self.lowercase
    }

    /// One more than the largest id, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Id of the padding token, if the vocabulary has one.
    pub fn pad_token_id(&self) -> Option<i64> {
        self.inner.token_to_id("[PAD]").or_else(|| self.inner.token_to_id("<pad>")).map(i64::from)
    }

    /// Id of the token that hides another, if the vocabulary has one.
    pub fn mask_token_id(&self) -> Option<i64> {
        self.inner.token_to_id("[MASK]").or_else(|| self.inner.token_to_id("<mask>")).map(i64::from)
    }

    /// Ids that stand for no text: of the frame, padding, the mask, and what the vocabulary does not know.
    pub fn special_token_ids(&self) -> BTreeSet<i64> {
        let added = self.inner.get_added_tokens_decoder();
        added.into_iter().filter(|(_, token)| token.special).map(|(id, _)| i64::from(id)).collect()
    }

    /// Token ids of each text, on all cores; what is beyond the length of a sequence becomes another one, with special
    /// tokens of its own. A text without any token of its own gives none.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_windows(&self, texts: &[impl AsRef<str>]) -> Result<Vec<Vec<Vec<i64>>>, Error> {
        let ids = |encoding: &Encoding| encoding.get_ids().iter().map(|&id| i64::from(id)).collect::<Vec<_>>();
        let windows = |encoding: &Encoding| {
            let rest = encoding.get_overflowing().iter().map(ids);
            let all = std::iter::once(ids(encoding)).chain(rest);
            all.filter(|ids| ids.len() > self.special_tokens).collect()
        };
        Ok(self.encodings(texts)?.iter().map(windows).collect())
    }

    /// Token ids of each sentence, on all cores.
    pub fn encode(&self, sentences: &[impl AsRef<str>]) -> Result<Vec<Vec<i64>>, Error> {
        Ok(self.tokenize(sentences)?.into_iter().map(|tokenized| tokenized.ids).collect())
    }

    /// Like [`Tokenizer::encode`], and tells which sentences were cut at the number of tokens.
    pub fn tokenize(&self, sentences: &[impl AsRef<str>]) -> Result<Vec<Tokenized>, Error> {
        let tokenized = |encoding: &Encoding| Tokenized {
            ids: encoding.get_ids().iter().map(|&id| i64::from(id)).collect(),
            is_truncated: !encoding.get_overflowing().is_empty(),
        };
        Ok(self.encodings(sentences)?.iter().map(tokenized).collect())
    }

    fn encodings(&self, sentences: &[impl AsRef<str>]) -> Result<Vec<Encoding>, Error> {
        let texts = sentences.iter().map(|sentence| match self.prompt.as_str() {
            "" => composed(sentence.as_ref()),
            prompt => Cow::Owned(composed(&format!("{prompt}{}", sentence.as_ref())).into_owned()),
        });
        let encodings = if sentences.len() < FEW {
            texts.map(|text| self.inner.encode_fast(text, self.is_framed)).collect()
        } else {
            self.inner.encode_batch_fast(texts.collect(), self.is_framed)
        };
        let encodings = encodings.map_err(|error| Error::Tokenizer(error.to_string()))?;
        for encoding in &encodings {
            if encoding.is_empty() && self.is_framed {
                let what = "a sentence has no token at all: the tokenizer adds no special tokens";
                return Err(Error::Tokenizer(what.to_owned()));
            }
            // A template that repeats the sentence does so after the sentence was cut.
            if encoding.len() > self.max_seq_length {
                let (found, most) = (encoding.len(), self.max_seq_length);
                return Err(Error::Tokenizer(format!("a sentence has {found} tokens where it was cut at {most}")));
            }
            // Added tokens may be beyond the embeddings, and a template's special tokens carry ids of their own.
            let windows = std::iter::once(encoding).chain(encoding.get_overflowing());
            let mut ids = windows.flat_map(|window| window.get_ids());
            if let Some(id) = ids.find(|&&id| id as usize >= self.embeddings) {
                return Err(Error::Tokenizer(format!("id {id} is beyond the vocabulary of {}", self.embeddings)));
            }
        }
        Ok(encodings)
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json`.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join("tokenizer.json");
        let mut plain = self.inner.clone();
        // Whoever reads the file sets a length of their own, but for texts without a frame, of which it is the only word.
        let kept = plain.get_truncation().filter(|_| !self.is_framed).cloned();
        plain.with_truncation(kept).map_err(|error| Error::Tokenizer(error.to_string()))?;
        let text = plain.to_string(true).map_err(|error| Error::Tokenizer(error.to_string()))?;
        std::fs::write(&path, text).map_err(Error::io(&path))?;

        let mut config = self.config.clone();
        let defaults = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]",
        });
        if config.is_empty()
            && let Value::Object(defaults) = defaults
        {
            config.extend(defaults.into_iter().filter(|(key, token)| {
                key == "tokenizer_class" || token.as_str().is_some_and(|token| self.inner.token_to_id(token).is_some())
            }));
        }
        config.insert("model_max_length".to_owned(), self.max_seq_length.into());
        let path = dir.join("tokenizer_config.json");
        let text = serde_json::to_string_pretty(&config).expect("a JSON object is JSON");
        std::fs::write(&path, text + "\n").map_err(Error::io(&path))
    }
}

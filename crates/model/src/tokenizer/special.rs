//! Tokens that are added to a vocabulary: those of the special keys, and those of `added_tokens_decoder`,
//! `special_tokens_map.json`, `added_tokens.json` and `tokenizer.json`.
//!
//! Source: transformers 5, `PreTrainedTokenizerBase._from_pretrained` and `TokenizersBackend.__init__`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

/// The keys of the tokens that have a part of their own, in transformers' order.
const NAMES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
/// The newer and the older key of every other special token.
const EXTRA: &str = "extra_special_tokens";
const ADDITIONAL: &str = "additional_special_tokens";

/// A token as the files write it.
#[derive(Deserialize)]
struct Written {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

impl From<Written> for AddedToken {
    fn from(written: Written) -> Self {
        let Written { content, single_word, lstrip, rstrip, normalized, special } = written;
        let normalized = normalized.unwrap_or(!special);
        AddedToken { content, single_word, lstrip, rstrip, normalized, special }
    }
}

fn written(value: &Value) -> Result<AddedToken, String> {
    serde_json::from_value(value.clone()).map(|written: Written| written.into()).map_err(|error| error.to_string())
}

/// A text stands for a special token that is matched as it is written.
fn special(value: &Value) -> Result<AddedToken, String> {
    match value {
        Value::String(text) => Ok(AddedToken::from(text.as_str(), true)),
        value => written(value),
    }
}

/// The special tokens of a directory, and those that are added to its vocabulary.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    named: Vec<(String, AddedToken)>, // by key, in transformers' order
    extra: Vec<AddedToken>,
    by_id: BTreeMap<i64, AddedToken>,
}

/// The files that tell of tokens; those that are missing are none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sources<'a> {
    /// `special_tokens_map.json`.
    pub(super) special_tokens_map: Option<&'a Map<String, Value>>,
    /// `added_tokens.json`.
    pub(super) added_tokens: Option<&'a Map<String, Value>>,
    /// `added_tokens` of `tokenizer.json`.
    pub(super) of_tokenizer: &'a [Value],
}

impl Tokens {
    /// Reads them; `keys` are those of `tokenizer_config.json` with what stands above them, `given` what does. The error
    /// says which file and which key.
    pub(super) fn read(
        keys: &Map<String, Value>,
        given: &Map<String, Value>,
        sources: Sources<'_>,
    ) -> Result<Self, String> {
        let mut keys = keys.clone();
        let decoder = keys.get("added_tokens_decoder").and_then(Value::as_object).cloned();
        let mut file = "tokenizer_config.json";
        // Older files, which count where the newer key is missing.
        if decoder.is_none()
            && let Some(map) = sources.special_tokens_map
        {
            file = "special_tokens_map.json";
            let is_given = |key: &String| given.get(key).is_some_and(|value| !value.is_null());
            for (key, value) in map.iter().filter(|(key, _)| !is_given(key)) {
                let mut value = value.clone();
                if let Some(token) = value.as_object_mut().filter(|_| key != EXTRA) {
                    token.insert("special".to_owned(), true.into());
                }
                // What tokenizer_config.json lists under the older key wins, and under the newer one comes first.
                if key == ADDITIONAL && !is_empty(keys.get(ADDITIONAL)) {
                    continue;
                }
                if let (EXTRA, Some(Value::Array(own)), Value::Array(more)) = (key.as_str(), keys.get(key), &value) {
                    value = own.iter().chain(more).cloned().collect();
                }
                keys.insert(key.clone(), value);
            }
        }
        let mut tokens = Self::default();
        tokens.read_special(&keys).map_err(|(key, what)| format!("{file}: {key}: {what}"))?;
        match decoder {
            Some(decoder) => {
                for (id, token) in &decoder {
                    let place = |what: String| format!("tokenizer_config.json: added_tokens_decoder: `{id}`: {what}");
                    let id = id.parse().map_err(|_| place("expected a number".to_owned()))?;
                    tokens.by_id.insert(id, written(token).map_err(place)?);
                }
            }
            None => tokens.read_older(sources)?,
        }
        // The one of its text that tells more than its text does.
        for (key, token) in &mut tokens.named {
            let known = tokens.by_id.values().find(|known| known.content == token.content);
            if let Some(known) = known.filter(|_| NAMES.contains(&key.as_str())) {
                *token = known.clone();
            }
        }
        Ok(tokens)
    }

    fn read_special(&mut self, keys: &Map<String, Value>) -> Result<(), (String, String)> {
        let standard = NAMES.iter().filter_map(|name| Some((*name, keys.get(*name)?)));
        // A model may have keys of its own, whose values are texts alone.
        let own = keys.iter().filter(|(key, value)| {
            key.ends_with("_token") && !NAMES.contains(&key.as_str()) && (value.is_string() || has_type(value))
        });
        let mut named: Vec<(&str, &Value)> = standard.filter(|(_, value)| !value.is_null()).collect();
        named.extend(own.map(|(key, value)| (key.as_str(), value)));
        let key = if is_empty(keys.get(EXTRA)) { ADDITIONAL } else { EXTRA };
        match keys.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::Object(tokens)) => named.extend(tokens.iter().map(|(key, value)| (key.as_str(), value))),
            Some(Value::Array(tokens)) => {
                let tokens = tokens.iter().map(special).collect::<Result<_, _>>();
                self.extra = tokens.map_err(|what| (key.to_owned(), what))?;
            }
            Some(other) => return Err((key.to_owned(), format!("{other}, expected a list of tokens"))),
        }
        for (key, value) in named {
            let token = special(value).and_then(|token| match token.content.is_empty() {
                true => Err("expected a text that is not empty".to_owned()),
                false => Ok(token),
            });
            let token = token.map_err(|what| (key.to_owned(), what))?;
            self.named.push((key.to_owned(), token));
        }
        Ok(())
    }

    /// `added_tokens.json`, and above it the tokens of `tokenizer.json`.
    fn read_older(&mut self, sources: Sources<'_>) -> Result<(), String> {
        for (text, id) in sources.added_tokens.into_iter().flatten() {
            let id =
                id.as_i64().ok_or_else(|| format!("added_tokens.json: `{text}`: {id}, expected a whole number"))?;
            let named = self.named.iter().filter(|(key, _)| NAMES.contains(&key.as_str())).map(|(_, token)| token);
            let is_special = named.chain(&self.extra).any(|token| token.content == *text);
            self.by_id.insert(id, AddedToken::from(text.as_str(), is_special));
        }
        for token in sources.of_tokenizer {
            let place = |what| format!("tokenizer.json: added_tokens: {what}");
            let id =
                token.get("id").and_then(Value::as_i64).ok_or_else(|| place("a token without an id".to_owned()))?;
            self.by_id.insert(id, written(token).map_err(place)?);
        }
        Ok(())
    }

    /// The text of a special token.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(key, _)| key == name).map(|(_, token)| token.content.as_str())
    }

    /// Gives a special token to those that have none of this name.
    pub(super) fn set_default(&mut self, name: &str, token: AddedToken) {
        if self.text(name).is_none() {
            self.named.push((name.to_owned(), token));
            let place = |name: &str| NAMES.iter().position(|known| *known == name).unwrap_or(NAMES.len());
            self.named.sort_by_key(|(name, _)| place(name));
        }
    }

    /// Gives further special tokens to those that have none.
    pub(super) fn set_default_extra(&mut self, texts: &[&str]) {
        if self.extra.is_empty() {
            self.extra = texts.iter().map(|text| AddedToken::from(*text, true)).collect();
        }
    }

    /// The special tokens by their keys, as a file writes them.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named.iter().map(|(key, token)| (key.as_str(), token.content.as_str()))
    }

    /// What is added to a vocabulary, in the order in which tokens that it lacks get their ids: those with ids first, then
    /// special ones that neither they nor the added ones of the tokenizer, `known`, have.
    pub(super) fn added(&self, known: &[String]) -> Vec<AddedToken> {
        let mut added: Vec<AddedToken> = self.by_id.values().cloned().collect();
        for token in self.named.iter().map(|(_, token)| token).chain(&self.extra) {
            if !known.contains(&token.content) && added.iter().all(|other| other.content != token.content) {
                added.push(token.clone());
            }
        }
        for token in &mut added {
            token.special |= self.named.iter().any(|(_, named)| named.content == token.content);
        }
        added
    }
}

fn has_type(value: &Value) -> bool {
    value.get("__type").and_then(Value::as_str) == Some("AddedToken")
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(_) => false,
    }
}

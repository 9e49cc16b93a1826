//! The tokenizer of a model directory, as transformers 5 makes it of the directory's files.
//!
//! Source: transformers 5, `PreTrainedTokenizerBase.from_pretrained`, `TokenizersBackend`, and the `__init__` of the classes
//! in [`Class`].

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokenizers::{AddedToken, PostProcessorWrapper, Tokenizer};

use super::{
    class::Class,
    special::{Sources, Tokens},
};
use crate::error::{Error, read_json, read_text};

const CONFIG: &str = "tokenizer_config.json";
const TOKENIZER: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.txt";
/// Files that other programs make a tokenizer of, and not this one.
const NOT_READ: [&str; 6] =
    ["sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model", "vocab.json", "merges.txt"];
/// Longer words are unknown. Source: tokenizers, `WordPiece`.
const MAX_CHARACTERS_PER_WORD: usize = 100;

/// What cuts a text into words. Source: transformers, `PRETOKENIZE_REGEX` of `tokenization_qwen2.py`.
const QWEN2_WORDS: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// What is read of `tokenizer.json` before it is known how much of it counts.
#[derive(Default, Deserialize)]
struct Head {
    #[serde(default)]
    added_tokens: Vec<Value>,
}

/// A tokenizer, and the keys of `tokenizer_config.json` that give the same one again beside the `tokenizer.json` of it.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) inner: Tokenizer,
    pub(super) config: Map<String, Value>,
}

/// Makes the tokenizer of a directory; `arguments` stand above the keys of its `tokenizer_config.json`.
pub(super) fn read(dir: &Path, arguments: &Map<String, Value>) -> Result<Read, Error> {
    let optional = |name: &str| -> Result<Option<Map<String, Value>>, Error> {
        let path = dir.join(name);
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    };
    let mut keys = optional(CONFIG)?.unwrap_or_default();
    let class = Class::find(&keys, &optional("config.json")?.unwrap_or_default());
    let class = class.map_err(|what| invalid(dir, &what))?;
    if let Some(Value::Array(files)) = keys.get("fast_tokenizer_files")
        && files.iter().any(|file| file != TOKENIZER)
    {
        return Err(Error::invalid(
            &dir.join(CONFIG),
            "fast_tokenizer_files is not supported, expected tokenizer.json",
        ));
    }
    keys.extend(arguments.clone());
    let (text, file) = text(dir, class)?;
    let head: Head = parse(&text, &file)?;
    let (map, added) = (optional("special_tokens_map.json")?, optional("added_tokens.json")?);
    let sources =
        Sources { special_tokens_map: map.as_ref(), added_tokens: added.as_ref(), of_tokenizer: &head.added_tokens };
    let mut tokens = Tokens::read(&keys, arguments, sources).map_err(|what| invalid(dir, &what))?;
    class.set_defaults(&mut tokens);
    let rules = Rules { class, keys: &keys, tokens: &tokens };
    let mut inner = if class == Class::AsItIs {
        library(text.as_bytes(), &file)?
    } else {
        let replaced = rules.replace(parse(&text, &file)?).map_err(|what| invalid(dir, &what))?;
        library(replaced.to_string().as_bytes(), &file)?
    };
    let known: Vec<String> = inner.get_added_tokens_decoder().into_values().map(|token| token.content).collect();
    inner.add_tokens(tokens.added(&known)).map_err(|error| Error::Tokenizer(error.to_string()))?;
    if let Some(frame) = rules.frame(&inner) {
        let processor = serde_json::from_value::<PostProcessorWrapper>(frame);
        inner.with_post_processor(Some(processor.map_err(|error| Error::Tokenizer(error.to_string()))?));
    }
    inner.set_encode_special_tokens(rules.flag("split_special_tokens", false).map_err(|what| invalid(dir, &what))?);
    let config = if keys.is_empty() && class == Class::AsItIs { Map::new() } else { rules.saved() };
    Ok(Read { inner, config })
}

/// The text of `tokenizer.json`, or what stands for it where a class reads another vocabulary; and the file that it is of.
fn text(dir: &Path, class: Class) -> Result<(String, PathBuf), Error> {
    let (file, vocabulary) = (dir.join(TOKENIZER), dir.join(VOCABULARY));
    if file.exists() {
        return Ok((read_text(&file)?, file));
    }
    if class != Class::Bert || !vocabulary.exists() {
        return Err(missing(dir, class));
    }
    // One token a line, in the order of their ids.
    let text = read_text(&vocabulary)?;
    let lines = text.lines().map(str::trim_end).enumerate();
    let vocab: Map<String, Value> = lines.map(|(id, token)| (token.to_owned(), id.into())).collect();
    Ok((json!({"model": {"type": "WordPiece", "vocab": vocab}}).to_string(), vocabulary))
}

/// An error whose text begins with the name of a file of the directory.
fn invalid(dir: &Path, what: &str) -> Error {
    match what.split_once(": ") {
        Some((file, what)) => Error::invalid(&dir.join(file), what),
        None => Error::invalid(dir, what),
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, file: &Path) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::invalid(file, format!("not a tokenizer: {error}")))
}

pub(super) fn library(bytes: &[u8], file: &Path) -> Result<Tokenizer, Error> {
    Tokenizer::from_bytes(bytes).map_err(|error| {
        Error::invalid(file, format!("not a tokenizer: {}", error.to_string().lines().next().unwrap_or_default()))
    })
}

/// Nothing that this program makes a tokenizer of; others may find something.
fn missing(dir: &Path, class: Class) -> Error {
    let found: Vec<&str> = NOT_READ.into_iter().filter(|name| dir.join(name).exists()).collect();
    let shown = dir.display();
    let what = match (found.is_empty(), dir.join(VOCABULARY).exists()) {
        (false, _) => format!(
            "no tokenizer.json, which is read in place of {}: make it by python -c \"from transformers import \
             AutoTokenizer; AutoTokenizer.from_pretrained('{shown}').save_pretrained('{shown}')\"",
            found.join(" and ")
        ),
        (true, true) => format!(
            "vocab.txt is read for BertTokenizer alone, and the class here is {}: expected tokenizer.json",
            class.name()
        ),
        (true, false) => "no tokenizer: expected tokenizer.json, or vocab.txt of a BertTokenizer".to_owned(),
    };
    Error::invalid(dir, what)
}

impl Class {
    /// The special tokens that a class has where no file names them.
    fn set_defaults(self, tokens: &mut Tokens) {
        let bert = [("unk", "[UNK]"), ("sep", "[SEP]"), ("pad", "[PAD]"), ("cls", "[CLS]"), ("mask", "[MASK]")];
        let roberta =
            [("bos", "<s>"), ("eos", "</s>"), ("unk", "<unk>"), ("sep", "</s>"), ("pad", "<pad>"), ("cls", "<s>")];
        let deberta = [
            ("bos", "[CLS]"),
            ("eos", "[SEP]"),
            ("unk", "[UNK]"),
            ("sep", "[SEP]"),
            ("pad", "[PAD]"),
            ("cls", "[CLS]"),
            ("mask", "[MASK]"),
        ];
        let qwen2 = ["unk", "eos", "pad"].map(|name| (name, "<|endoftext|>"));
        let defaults = match self {
            Self::AsItIs => return,
            Self::DebertaV2 => deberta.as_slice(),
            Self::Qwen2 => qwen2.as_slice(),
            Self::Bert => bert.as_slice(),
            Self::Roberta | Self::XlmRoberta | Self::Camembert => roberta.as_slice(),
        };
        for (name, text) in defaults {
            tokens.set_default(&format!("{name}_token"), AddedToken::from(*text, true));
        }
        match self {
            Self::AsItIs | Self::Bert | Self::DebertaV2 | Self::Qwen2 => {}
            Self::Roberta | Self::XlmRoberta => tokens.set_default("mask_token", AddedToken::from("<mask>", true)),
            Self::Camembert => {
                tokens.set_default("mask_token", AddedToken::from("<mask>", true).lstrip(true));
                tokens.set_default_extra(&["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"]);
            }
        }
    }
}

/// How a class makes its tokenizer.
struct Rules<'a> {
    class: Class,
    keys: &'a Map<String, Value>,
    tokens: &'a Tokens,
}

impl Rules<'_> {
    fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.keys.get(key) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(value) => Err(format!("{CONFIG}: `{key}` is {value}, expected true or false")),
        }
    }

    /// A special token of a class that has defaults.
    fn token(&self, name: &str) -> &str {
        self.tokens.text(name).expect("a default is set")
    }

    /// The rules of the class in place of the file's own, and the vocabulary without added tokens.
    fn replace(&self, mut file: Map<String, Value>) -> Result<Value, String> {
        let Some(Value::Object(mut model)) = file.remove("model") else {
            return Err(format!("{TOKENIZER}: no object `model`, expected the subwords"));
        };
        let mut take = |key: &str| model.remove(key).unwrap_or_default();
        let (kind, vocab, merges) = (take("type"), take("vocab"), take("merges"));
        let kind = match (&kind, &vocab, &merges) {
            (Value::String(kind), ..) => kind.as_str(),
            // Older files do not say.
            (_, Value::Array(_), _) => "Unigram",
            (_, _, Value::Array(_)) => "BPE",
            _ => "WordPiece",
        };
        let expected = self.class.model().expect("a class that makes its tokenizer anew has a kind of model");
        if kind != expected {
            return Err(format!(
                "{TOKENIZER}: {kind}, and {} expects {expected}: tokenizer_class in {CONFIG} has to name the class, \
                 PreTrainedTokenizerFast for the file as it is",
                self.class.name()
            ));
        }
        let mut post_processor = Value::Null; // the class's, once its tokens have ids
        let (model, normalizer, pre_tokenizer, decoder) = match self.class {
            Class::AsItIs => unreachable!("its rules are the file's"),
            Class::Bert => {
                let strip_accents = match self.keys.get("strip_accents") {
                    None | Some(Value::Null) => Value::Null,
                    Some(_) => self.flag("strip_accents", false)?.into(),
                };
                (
                    json!({"type": "WordPiece", "unk_token": self.token("unk_token"), "continuing_subword_prefix": "##",
                           "max_input_chars_per_word": MAX_CHARACTERS_PER_WORD, "vocab": vocab}),
                    json!({"type": "BertNormalizer", "clean_text": true,
                           "handle_chinese_chars": self.flag("tokenize_chinese_chars", true)?,
                           "strip_accents": strip_accents, "lowercase": self.flag("do_lower_case", true)?}),
                    json!({"type": "BertPreTokenizer"}),
                    json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
                )
            }
            Class::Roberta => {
                let byte_level = json!({"type": "ByteLevel", "add_prefix_space": self.flag("add_prefix_space", false)?,
                                        "trim_offsets": true, "use_regex": true});
                (byte_pairs(vocab, merges), Value::Null, byte_level.clone(), byte_level)
            }
            Class::Qwen2 => {
                let byte_level = |regex: bool, space: bool| json!({"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": regex});
                let words = json!({"type": "Split", "pattern": {"Regex": QWEN2_WORDS}, "behavior": "Isolated",
                                   "invert": false});
                let bytes = byte_level(false, self.flag("add_prefix_space", false)?);
                post_processor = file.get("post_processor").cloned().unwrap_or_default();
                (
                    byte_pairs(vocab, merges),
                    json!({"type": "NFC"}),
                    json!({"type": "Sequence", "pretokenizers": [words, bytes]}),
                    byte_level(true, true),
                )
            }
            Class::DebertaV2 => {
                let scheme = if self.flag("add_prefix_space", true)? { "always" } else { "first" };
                let metaspace =
                    json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true});
                let unk = json!([self.token("unk_token"), 0.0]);
                let place = |vocab: &Vec<Value>| vocab.iter().position(|entry| *entry == unk);
                let unk_id = vocab.as_array().and_then(place).unwrap_or(1);
                let lower = self.flag("do_lower_case", false)?.then(|| json!({"type": "Lowercase"}));
                let spaces = json!({"type": "Replace", "pattern": {"Regex": r"\s{2,}|[\n\r\t]"}, "content": " "});
                let strip = json!({"type": "Strip", "strip_left": false, "strip_right": true});
                let normalizers: Vec<Value> =
                    lower.into_iter().chain([spaces, json!({"type": "NFC"}), strip]).collect();
                let punctuation = || json!({"type": "Punctuation", "behavior": "Isolated"});
                let split = self.flag("split_by_punct", false)?.then(punctuation);
                let pre_tokenizers: Vec<Value> = split.into_iter().chain([metaspace.clone()]).collect();
                (
                    json!({"type": "Unigram", "unk_id": unk_id, "byte_fallback": false, "vocab": vocab}),
                    json!({"type": "Sequence", "normalizers": normalizers}),
                    json!({"type": "Sequence", "pretokenizers": pre_tokenizers}),
                    metaspace,
                )
            }
            Class::XlmRoberta | Class::Camembert => {
                let scheme = if self.flag("add_prefix_space", true)? { "always" } else { "never" };
                let metaspace =
                    json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true});
                let unk = self.token("unk_token");
                let place = |vocab: &Vec<Value>| vocab.iter().position(|entry| entry[0] == unk);
                let unk_id = match self.class {
                    Class::Camembert => vocab.as_array().and_then(place).unwrap_or(0),
                    _ => 3,
                };
                (
                    json!({"type": "Unigram", "unk_id": unk_id, "byte_fallback": false, "vocab": vocab}),
                    file.get("normalizer").map_or(Value::Null, precompiled),
                    json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}),
                    metaspace,
                )
            }
        };
        let truncation = file.remove("truncation");
        Ok(json!({"version": "1.0", "truncation": truncation, "padding": null, "added_tokens": [], "model": model,
                  "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder}))
    }

    /// The special tokens around a sentence, once all of them have an id; none, where they are the file's.
    fn frame(&self, inner: &Tokenizer) -> Option<Value> {
        let id = |token: &str| inner.token_to_id(token).expect("special tokens are added");
        let (first, last) = match self.class {
            Class::AsItIs | Class::Qwen2 => return None,
            Class::Bert | Class::Roberta | Class::DebertaV2 => (self.token("cls_token"), self.token("sep_token")),
            Class::XlmRoberta | Class::Camembert => (self.token("bos_token"), self.token("eos_token")),
        };
        if self.class == Class::Roberta {
            return Some(json!({"type": "RobertaProcessing", "sep": [last, id(last)], "cls": [first, id(first)],
                               "trim_offsets": true, "add_prefix_space": false}));
        }
        let special = |token: &str, part: usize| json!({"SpecialToken": {"id": token, "type_id": part}});
        let text = |name: &str, part: usize| json!({"Sequence": {"id": name, "type_id": part}});
        let single = vec![special(first, 0), text("A", 0), special(last, 0)];
        let mut pair = single.clone();
        match self.class {
            Class::Bert | Class::DebertaV2 => pair.extend([text("B", 1), special(last, 1)]),
            _ => pair.extend([special(last, 0), text("B", 0), special(last, 0)]),
        }
        let entry = |token: &str| json!({"id": token, "ids": [id(token)], "tokens": [token]});
        let tokens = json!({first: entry(first), last: entry(last)});
        Some(json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}))
    }

    /// The keys, with what other files say and what stood above them.
    fn saved(&self) -> Map<String, Value> {
        let mut config = self.keys.clone();
        for (key, text) in self.tokens.named() {
            config.insert(key.to_owned(), text.into()); // its flags stand with the token in tokenizer.json
        }
        // A name that not every version knows has one that each does.
        if self.class == Class::AsItIs || !config.contains_key("tokenizer_class") {
            config.insert("tokenizer_class".to_owned(), self.class.name().into());
        }
        config
    }
}

fn byte_pairs(vocab: Value, merges: Value) -> Value {
    json!({"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
           "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": merges})
}

/// The first table of characters in a normalizer, which alone of it counts; none where it has none.
fn precompiled(normalizer: &Value) -> Value {
    let steps = match &normalizer["normalizers"] {
        Value::Array(steps) => steps.as_slice(),
        _ => std::slice::from_ref(normalizer),
    };
    steps.iter().find(|step| step["type"] == "Precompiled").cloned().unwrap_or(Value::Null)
}

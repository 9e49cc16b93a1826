//! What a model wants before a text: `query: ` and the like.
//!
//! Source: sentence-transformers, `prompts` and `default_prompt_name` of `config_sentence_transformers.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A model's prompts by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    texts: BTreeMap<String, String>,
    default: Option<String>, // one of the names
}

/// Which prompt to put before every text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PromptChoice {
    /// The model's default, where it has one.
    #[default]
    Default,
    /// One of the model's, by its name.
    Named(String),
    /// This one, whatever the model has; nothing where it is empty.
    Text(String),
}

impl PromptChoice {
    /// What `--prompt-name` and `--prompt` ask for, of which one at most is given.
    pub fn of(name: Option<String>, text: Option<String>) -> Self {
        match (name, text) {
            (_, Some(text)) => Self::Text(text),
            (Some(name), None) => Self::Named(name),
            (None, None) => Self::Default,
        }
    }
}

impl Prompts {
    /// Those of `config_sentence_transformers.json`.
    pub(crate) fn read(settings: &Map<String, Value>) -> Result<Self, String> {
        let mut texts = BTreeMap::new();
        match settings.get("prompts") {
            None | Some(Value::Null) => {}
            Some(Value::Object(prompts)) => {
                for (name, text) in prompts {
                    let text = if text.is_null() { Some("") } else { text.as_str() };
                    let text = text.ok_or_else(|| format!("prompts: {name} is no text"))?;
                    texts.insert(name.clone(), text.to_owned());
                }
            }
            Some(other) => return Err(format!("prompts is {other}, expected an object of texts")),
        }
        let default = match settings.get("default_prompt_name") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) if texts.contains_key(name) => Some(name.clone()),
            Some(name) => return Err(format!("default_prompt_name is {name}, which is none of prompts")),
        };
        Ok(Self { texts, default })
    }

    /// The two keys that say so.
    pub(crate) fn written(&self) -> [(&'static str, Value); 2] {
        [("prompts", json!(self.texts)), ("default_prompt_name", json!(self.default))]
    }

    /// The prompt that is asked for; empty where there is none.
    ///
    /// # Errors
    /// Where the model has none of that name; the message names those that it has.
    pub fn text<'a>(&'a self, choice: &'a PromptChoice) -> Result<&'a str, String> {
        match (choice, &self.default) {
            (PromptChoice::Text(text), _) => Ok(text),
            (PromptChoice::Named(name), _) | (PromptChoice::Default, Some(name)) => self.named(name),
            (PromptChoice::Default, None) => Ok(""),
        }
    }

    /// The prompt of a name.
    ///
    /// # Errors
    /// As of [`Prompts::text`].
    pub fn named(&self, name: &str) -> Result<&str, String> {
        let known = || match self.texts.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it has {}", self.names().collect::<Vec<_>>().join(", ")),
        };
        self.texts.get(name).map(String::as_str).ok_or_else(|| format!("the model has no prompt `{name}`: {}", known()))
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    /// Their names and texts.
    pub fn texts(&self) -> &BTreeMap<String, String> {
        &self.texts
    }

    /// The one that is taken where none is named.
    pub fn default_name(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// The same with a text as the default, under its own name where it has one.
    pub fn with_default(mut self, text: &str) -> Self {
        let known = self.texts.iter().find(|(_, own)| *own == text).map(|(name, _)| name.clone());
        self.default = known.or_else(|| {
            (!text.is_empty()).then(|| {
                self.texts.insert("default".to_owned(), text.to_owned());
                "default".to_owned()
            })
        });
        self
    }

    /// What to tell a user where the model has prompts and none is used; `remedy` is where one is named.
    pub fn note(&self, model: impl std::fmt::Display, used: &str, remedy: &str) -> Option<String> {
        let names: Vec<String> = self
            .texts
            .iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| format!("{name} {text:?}"))
            .collect();
        let names = names.join(", ");
        (used.is_empty() && !names.is_empty())
            .then(|| format!("{model}: the model has prompts ({names}), and none is used: {remedy} names one"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompts(json: &str) -> Result<Prompts, String> {
        Prompts::read(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_prompt_is_the_named_one_or_the_default() {
        let own =
            prompts(r#"{"prompts": {"query": "query: ", "document": null}, "default_prompt_name": "query"}"#).unwrap();
        assert_eq!(own.text(&PromptChoice::Default), Ok("query: "));
        assert_eq!(own.text(&PromptChoice::Text("문장: ".to_owned())), Ok("문장: "));
        assert_eq!(own.text(&PromptChoice::Named("document".to_owned())), Ok(""));
        let message = own.text(&PromptChoice::Named("passage".to_owned())).unwrap_err();
        assert_eq!(message, "the model has no prompt `passage`: it has document, query");
        assert_eq!(prompts("{}").unwrap().text(&PromptChoice::Default), Ok(""));
        assert!(prompts("{}").unwrap().named("query").unwrap_err().ends_with("it has none"));
        assert!(prompts(r#"{"default_prompt_name": "query"}"#).unwrap_err().contains("none of prompts"));
        assert!(prompts(r#"{"prompts": {"query": 1}}"#).unwrap_err().contains("query is no text"));
    }

    #[test]
    fn what_is_used_is_the_default_of_what_is_saved() {
        let own = prompts(r#"{"prompts": {"query": "query: "}}"#).unwrap();
        assert_eq!(own.clone().with_default("query: ").default_name(), Some("query"));
        let other = own.clone().with_default("문장: ");
        assert_eq!((other.default_name(), other.named("default")), (Some("default"), Ok("문장: ")));
        assert_eq!(own.clone().with_default("").default_name(), None);
        assert!(own.note("m", "", "--prompt").is_some_and(|note| note.contains("query \"query: \"")));
        assert_eq!(own.note("m", "query: ", "--prompt"), None);
    }
}

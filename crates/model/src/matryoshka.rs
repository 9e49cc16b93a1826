//! Embeddings whose first numbers are embeddings too (Matryoshka representation learning), and how a model says that its
//! are such.

use std::{fs, path::Path};

use serde_json::{Map, Value};

use crate::files::CARD;

/// What a model says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matryoshka {
    is_said: bool,
    dims: Vec<usize>,
}

impl Matryoshka {
    /// Of a directory's `config_sentence_transformers.json`, `config.json` and model card. Sources: sentence-transformers'
    /// `truncate_dim` and the loss in its model cards; vLLM's `is_matryoshka` and `matryoshka_dimensions`.
    pub(crate) fn read(dir: &Path, settings: &Map<String, Value>, config: &Map<String, Value>) -> Self {
        let is_set = |keys: &Map<String, Value>, key: &str| {
            keys.get(key).is_some_and(|value| !value.is_null() && *value != Value::Bool(false))
        };
        let card = fs::read_to_string(dir.join(CARD)).unwrap_or_default();
        let mut dims: Vec<usize> = [settings, config]
            .into_iter()
            .flat_map(|keys| ["matryoshka_dims", "matryoshka_dimensions"].map(|key| keys.get(key)))
            .flatten()
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(|dim| Some(dim.as_u64()? as usize))
            .chain(in_card(&card))
            .collect();
        dims.sort_unstable_by(|a, b| b.cmp(a));
        dims.dedup();
        let is_said = !dims.is_empty()
            || is_set(settings, "truncate_dim")
            || is_set(config, "is_matryoshka")
            || card.contains("MatryoshkaLoss");
        Self { is_said, dims }
    }

    /// What a model says that may be truncated anywhere.
    pub fn any() -> Self {
        Self { is_said: true, dims: Vec::new() }
    }

    /// Whether the model was trained so that the first numbers of its embeddings stand for the whole.
    pub fn is_said(&self) -> bool {
        self.is_said
    }

    /// The widths that it names, the largest first; it may name none.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Checks how many of `width` numbers are asked for; `remedy` is what allows them of any model.
    ///
    /// # Errors
    /// Where there are no so many, or the model was not trained for fewer.
    pub fn check(&self, asked: usize, width: usize, remedy: Option<&str>) -> Result<(), String> {
        if asked == 0 || asked > width {
            return Err(format!("expected 1..={width}, the numbers of an embedding of this model"));
        }
        if asked < width && !self.is_said {
            let remedy = remedy.map(|remedy| format!("; {remedy} truncates all the same")).unwrap_or_default();
            return Err(format!(
                "expected {width}: the model does not say that the first numbers of its embeddings stand for the whole \
                 (Matryoshka){remedy}"
            ));
        }
        Ok(())
    }
}

/// The widths in the JSON of a loss that sentence-transformers writes into a model card.
fn in_card(card: &str) -> Vec<usize> {
    let Some((_, rest)) = card.split_once("\"matryoshka_dims\"") else { return Vec::new() };
    let list = rest.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let numbers = list.iter().flat_map(|(list, _)| list.split(','));
    numbers.map(|number| number.trim().parse()).collect::<Result<_, _>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(settings: &str, config: &str, card: &str) -> Matryoshka {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("README.md"), card).unwrap();
        let keys = |json: &str| serde_json::from_str(json).unwrap();
        Matryoshka::read(dir.path(), &keys(settings), &keys(config))
    }

    #[test]
    fn a_model_says_so_in_any_of_three_places() {
        assert_eq!(said(r#"{"matryoshka_dims": [64, 256]}"#, "{}", "").dims(), [256, 64]);
        assert_eq!(said("{}", r#"{"matryoshka_dimensions": [32], "is_matryoshka": true}"#, "").dims(), [32]);
        let card = "tags:\n- loss:MatryoshkaLoss\n```json\n{\"matryoshka_dims\": [\n 768,\n 512]}\n```";
        assert_eq!(said("{}", "{}", card).dims(), [768, 512]);
        for (settings, config, card) in [
            (r#"{"truncate_dim": 8}"#, "{}", ""),
            ("{}", r#"{"is_matryoshka": true}"#, ""),
            ("{}", "{}", "MatryoshkaLoss"),
        ] {
            let said = said(settings, config, card);
            assert!(said.is_said() && said.dims().is_empty(), "{settings} {config} {card}");
        }
        assert!(!said(r#"{"truncate_dim": null}"#, r#"{"is_matryoshka": false}"#, "a model").is_said());
    }

    #[test]
    fn what_is_asked_of_a_model_is_within_what_it_was_trained_for() {
        let (trained, other) = (said("{}", r#"{"is_matryoshka": true}"#, ""), Matryoshka::default());
        assert_eq!([trained.check(8, 16, None), other.check(16, 16, None)], [Ok(()), Ok(())]);
        assert!(trained.check(17, 16, None).unwrap_err().starts_with("expected 1..=16"));
        assert!(trained.check(0, 16, None).is_err());
        let message = other.check(8, 16, Some("--allow-truncation")).unwrap_err();
        assert!(message.starts_with("expected 16") && message.ends_with("--allow-truncation truncates all the same"));
    }
}

//! Tokenizing of a run's data, with a word on what the model cannot take of it.

use data::Dataset;
use model::{TextLosses, Tokenizer};

/// Tokenizes the parts of a set, and tells once what was lost of all of them.
pub(crate) struct Tokenizing<'a> {
    tokenizer: &'a Tokenizer,
    losses: TextLosses,
    texts: usize,
}

impl<'a> Tokenizing<'a> {
    pub(crate) fn by(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, losses: TextLosses::none(tokenizer), texts: 0 }
    }

    /// Token ids of each text.
    pub(crate) fn encode(&mut self, texts: &[impl AsRef<str>]) -> Result<Vec<Vec<i64>>, model::Error> {
        let tokenized = self.tokenizer.tokenize(texts)?;
        self.losses += TextLosses::of(self.tokenizer, &tokenized);
        self.texts += texts.len();
        Ok(tokenized.into_iter().map(|tokenized| tokenized.ids).collect())
    }

    /// Says what was lost, if anything was; `what` names the texts.
    pub(crate) fn tell(self, what: &str) {
        if !self.losses.is_none() {
            ground::say!("{what}: of {} texts {}", self.texts, self.losses);
        }
    }
}

/// Says what the model cannot take of the sentences of dev and test sets.
pub(crate) fn tell_losses(datasets: &[Dataset], tokenizer: &Tokenizer) -> Result<(), model::Error> {
    for Dataset { name, pairs, .. } in datasets {
        let mut tokenizing = Tokenizing::by(tokenizer);
        let texts: Vec<&String> = pairs.iter().flat_map(|pair| [&pair.sentence1, &pair.sentence2]).collect();
        tokenizing.encode(&texts)?;
        tokenizing.tell(name);
    }
    Ok(())
}

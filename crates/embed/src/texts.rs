//! Texts to embeddings, and what the model could not take of them.

use std::{collections::HashMap, fmt, ops::AddAssign};

use model::{Error, SentenceEncoder, Tokenized};
use tch::Tensor;

/// How many texts the model did not take as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Texts with more tokens than the model takes, which were cut.
    pub truncated: usize,
    /// Texts without a token that the model knows.
    pub unknown: usize,
    /// Tokens that the model takes.
    pub max_seq_length: usize,
}

impl Losses {
    /// None of an encoder's.
    pub(crate) fn none(encoder: &SentenceEncoder) -> Self {
        Self { max_seq_length: encoder.tokenizer().max_seq_length(), ..Self::default() }
    }
}

impl AddAssign for Losses {
    fn add_assign(&mut self, other: Self) {
        self.truncated += other.truncated;
        self.unknown += other.unknown;
    }
}

/// Nothing where there are none; else what to append to a line.
impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { truncated, unknown, max_seq_length } = self;
        match truncated {
            0 => {}
            1 => write!(f, "; 1 text was cut at {max_seq_length} tokens")?,
            _ => write!(f, "; {truncated} texts were cut at {max_seq_length} tokens")?,
        }
        match unknown {
            0 => Ok(()),
            1 => write!(f, "; 1 text holds nothing but unknown tokens"),
            _ => write!(f, "; {unknown} texts hold nothing but unknown tokens"),
        }
    }
}

/// Embeddings of texts, (texts, hidden) in f32 on the processor; `progress` is told of the texts that are done. Equal texts
/// are tokenized and encoded once, and counted as often as they are there.
pub(crate) fn encode(
    texts: &[&str],
    encoder: &SentenceEncoder,
    progress: &mut dyn FnMut(usize),
) -> Result<(Tensor, Losses), Error> {
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(texts.len());
    let mut distinct: Vec<&str> = Vec::new();
    let mut place = |text| {
        *places.entry(text).or_insert_with(|| {
            distinct.push(text);
            distinct.len() - 1
        })
    };
    let rows: Vec<i64> = texts.iter().map(|text| place(*text) as i64).collect();
    let mut copies = vec![0; distinct.len()];
    rows.iter().for_each(|&row| copies[row as usize] += 1);
    let tokenizer = encoder.tokenizer();
    let tokenized = tokenizer.tokenize(&distinct)?;
    let special = tokenizer.special_token_ids();
    let mut losses = Losses::none(encoder);
    for (Tokenized { ids, is_truncated }, copies) in tokenized.iter().zip(&copies) {
        losses.truncated += if *is_truncated { *copies } else { 0 };
        losses.unknown += if ids.iter().all(|id| special.contains(id)) { *copies } else { 0 };
    }
    let ids: Vec<Vec<i64>> = tokenized.into_iter().map(|tokenized| tokenized.ids).collect();
    let mut told = |batch: &[usize]| progress(batch.iter().map(|&text| copies[text]).sum());
    let embeddings = encoder.encode_ids_with_progress(&ids, &mut told)?;
    let embeddings = match distinct.len() == texts.len() {
        true => embeddings,
        false => embeddings.index_select(0, &Tensor::from_slice(&rows)),
    };
    Ok((embeddings, losses))
}

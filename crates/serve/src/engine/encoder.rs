//! What the engine asks of its models.

use model::{CrossEncoder, SentenceEncoder, Sequence, TokenPair};

/// What is computed in one go: a text's embedding, or the number of a pair that is read together.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Token ids of a text.
    Text(Vec<i64>),
    /// Those of a pair.
    Pair(TokenPair),
}

impl Sequence for Input {
    fn ids(&self) -> &[i64] {
        match self {
            Self::Text(ids) => ids,
            Self::Pair(pair) => &pair.ids,
        }
    }

    fn second(&self) -> usize {
        match self {
            Self::Text(ids) => ids.len(),
            Self::Pair(pair) => pair.second,
        }
    }
}

impl Default for Input {
    fn default() -> Self {
        Self::Text(Vec::new())
    }
}

impl From<Vec<i64>> for Input {
    fn from(ids: Vec<i64>) -> Self {
        Self::Text(ids)
    }
}

impl From<TokenPair> for Input {
    fn from(pair: TokenPair) -> Self {
        Self::Pair(pair)
    }
}

/// Computes what is tokenized.
pub(crate) trait Encode: 'static {
    /// Why it failed, in one line.
    type Error: std::error::Error + Send + 'static;

    /// For each text its embedding, (dimensions), and for each pair its number, (1).
    fn encode(&mut self, inputs: &[Input]) -> Result<Vec<Vec<f32>>, Self::Error>;
}

/// What a server holds.
pub(crate) struct Models {
    /// For texts; there is none where there is a reranker alone.
    pub(crate) encoder: Option<SentenceEncoder>,
    /// For pairs; there is none where there is no reranker.
    pub(crate) reranker: Option<CrossEncoder>,
}

impl Encode for Models {
    type Error = model::Error;

    fn encode(&mut self, inputs: &[Input]) -> Result<Vec<Vec<f32>>, model::Error> {
        let is_pair = |input: &&Input| matches!(input, Input::Pair(_));
        let (pairs, texts): (Vec<&Input>, Vec<&Input>) = inputs.iter().partition(is_pair);
        let embeddings = match &self.encoder {
            Some(encoder) if !texts.is_empty() => Some(encoder.encode_ids(&texts)?),
            _ => None,
        };
        let numbers = match &self.reranker {
            Some(reranker) if !pairs.is_empty() => reranker.logits_of(&pairs)?,
            _ => Vec::new(),
        };
        let mut embeddings = embeddings.iter().flat_map(|embeddings| embeddings.rows());
        let mut numbers = numbers.into_iter();
        let own = |input: &Input| match input {
            Input::Text(_) => embeddings.next().map(<[f32]>::to_vec),
            Input::Pair(_) => numbers.next().map(|number| vec![number]),
        };
        // Fewer than there are inputs is told as such.
        Ok(inputs.iter().filter_map(own).collect())
    }
}

//! What the engine asks of an encoder.

use model::SentenceEncoder;

/// Embeds tokenized sentences.
pub(crate) trait Encode: 'static {
    /// Why it failed, in one line.
    type Error: std::error::Error + Send + 'static;

    /// One embedding, (dimensions), for each sentence.
    fn encode(&mut self, sentences: &[Vec<i64>]) -> Result<Vec<Vec<f32>>, Self::Error>;
}

impl Encode for SentenceEncoder {
    type Error = model::Error;

    fn encode(&mut self, sentences: &[Vec<i64>]) -> Result<Vec<Vec<f32>>, model::Error> {
        Ok(self.encode_ids(sentences)?.rows().map(<[f32]>::to_vec).collect())
    }
}

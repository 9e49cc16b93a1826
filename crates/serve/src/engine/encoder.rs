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
        let embeddings = model::slices::to_vec(&self.encode_ids(sentences)?)?; // (sentences, dimensions)
        Ok(embeddings.chunks_exact(self.dimensions()).map(<[f32]>::to_vec).collect())
    }
}

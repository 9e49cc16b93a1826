//! The score that a model gives to each pair of a dataset: a sentence encoder by its embeddings, a cross-encoder by itself.

use std::time::{Duration, Instant};

use data::{Dataset, SentencePair};
use model::{CrossEncoder, ScoreActivation, SentenceEncoder, SimilarityFunction, TextLosses, TrainableCrossEncoder};
use tch::{Kind, Tensor};

/// Labels run from 0 to this; a cosine of 1 is predicted as it.
pub const LABEL_SCALE: f64 = 5.0;

/// Pairs whose embeddings are held at once: enough to sort by length, and no more memory however many there are.
const WINDOW: usize = 2048;

/// What gives pairs of sentences their scores.
pub trait PairScorer {
    /// The scores of some pairs, all held at once; `progress` is told of each batch of sentences that is done.
    ///
    /// # Errors
    /// Where a sentence cannot be tokenized.
    fn score_pairs(&self, pairs: &[SentencePair], progress: &mut dyn FnMut(usize)) -> Result<PairScores, model::Error>;

    /// The similarity that the model asks for.
    fn similarity_function(&self) -> SimilarityFunction {
        SimilarityFunction::default()
    }

    /// How many texts the losses of a pair count: those that the encoder reads.
    fn texts_of_a_pair(&self) -> usize {
        1
    }
}

/// A dataset's pairs with their predicted scores.
#[derive(Debug)]
pub struct Scored {
    /// The score of each pair on the labels' scale: 5 · cosine, or 5 times the score of a cross-encoder.
    pub predictions: Vec<f64>,
    /// The similarity that the model asks for.
    pub similarity: SimilarityFunction,
    /// That similarity of each pair; none where it is the cosine, which the predictions tell.
    pub similarities: Vec<f64>,
    /// The labels, where the dataset has them.
    pub labels: Option<Vec<f64>>,
    /// Time that encoding took.
    pub elapsed: Duration,
}

impl Scored {
    /// The scores of several datasets as those of one, which has labels if each of them has.
    pub fn merge(parts: Vec<Scored>) -> Scored {
        let labels: Option<Vec<Vec<f64>>> = parts.iter().map(|part| part.labels.clone()).collect();
        Scored {
            similarity: parts.first().map(|part| part.similarity).unwrap_or_default(), // of one model
            similarities: parts.iter().flat_map(|part| part.similarities.iter().copied()).collect(),
            labels: labels.map(|labels| labels.concat()),
            elapsed: parts.iter().map(|part| part.elapsed).sum(),
            predictions: parts.into_iter().flat_map(|part| part.predictions).collect(),
        }
    }

    /// Sentences encoded per second; a pair has two.
    pub fn sentences_per_second(&self) -> f64 {
        2.0 * self.predictions.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Scores every pair of a dataset; `progress` is told of each batch of sentences that is done.
pub fn score(
    scorer: &dyn PairScorer,
    dataset: &Dataset,
    progress: &mut dyn FnMut(usize),
) -> Result<Scored, model::Error> {
    let start = Instant::now();
    let mut all = PairScores::default();
    for window in dataset.pairs.chunks(WINDOW) {
        all.extend(scorer.score_pairs(window, progress)?);
    }
    Ok(all.scored(scorer, dataset.scores().ok(), start.elapsed()))
}

/// The scores of some pairs.
#[derive(Clone, Debug, Default)]
pub struct PairScores {
    /// 5 · cosine of each pair, or 5 times the score of a cross-encoder.
    pub predictions: Vec<f64>,
    /// The similarity that the model asks for; none where it is the cosine.
    pub similarities: Vec<f64>,
    /// What the model could not take of the sentences.
    pub losses: TextLosses,
}

impl PairScores {
    /// Adds the scores of further pairs.
    pub fn extend(&mut self, other: Self) {
        self.predictions.extend(other.predictions);
        self.similarities.extend(other.similarities);
        self.losses += other.losses;
    }

    /// The scores as those of a dataset with these labels, if it has any.
    pub fn scored(self, scorer: &dyn PairScorer, labels: Option<Vec<f64>>, elapsed: Duration) -> Scored {
        let Self { predictions, similarities, .. } = self;
        Scored { predictions, similarity: scorer.similarity_function(), similarities, labels, elapsed }
    }
}

impl PairScorer for SentenceEncoder {
    fn score_pairs(&self, pairs: &[SentencePair], progress: &mut dyn FnMut(usize)) -> Result<PairScores, model::Error> {
        let side = |sentence: fn(&SentencePair) -> &String| pairs.iter().map(sentence);
        let sentences: Vec<&String> = side(|pair| &pair.sentence1).chain(side(|pair| &pair.sentence2)).collect();
        let (embeddings, losses) = self.encode_with_losses(&sentences, progress)?;
        let (embeddings, count) = (embeddings.to_tensor(), pairs.len() as i64); // (2 · pairs, dimensions)
        let (first, second) = (embeddings.narrow(0, 0, count), embeddings.narrow(0, count, count));
        let of = |function: SimilarityFunction| function.pairwise(&first, &second).to_kind(Kind::Double); // (pairs)
        let numbers = |values: Tensor| Vec::<f64>::try_from(values.contiguous());
        let similarities = match self.similarity_function() {
            SimilarityFunction::Cosine => Vec::new(),
            function => numbers(of(function))?,
        };
        Ok(PairScores { predictions: numbers(of(SimilarityFunction::Cosine) * LABEL_SCALE)?, similarities, losses })
    }

    fn similarity_function(&self) -> SimilarityFunction {
        SentenceEncoder::similarity_function(self)
    }

    fn texts_of_a_pair(&self) -> usize {
        2
    }
}

impl PairScorer for CrossEncoder {
    fn score_pairs(&self, pairs: &[SentencePair], progress: &mut dyn FnMut(usize)) -> Result<PairScores, model::Error> {
        self.check_single_label()?;
        Ok(of_logits(self.logits(&both(pairs), &mut |count| progress(2 * count))?, self.activation()))
    }
}

impl PairScorer for TrainableCrossEncoder {
    fn score_pairs(&self, pairs: &[SentencePair], progress: &mut dyn FnMut(usize)) -> Result<PairScores, model::Error> {
        self.check_single_label()?;
        Ok(of_logits(self.logits(&both(pairs), &mut |count| progress(2 * count))?, self.activation()))
    }
}

fn both(pairs: &[SentencePair]) -> Vec<[&str; 2]> {
    pairs.iter().map(|pair| [pair.sentence1.as_str(), pair.sentence2.as_str()]).collect()
}

fn of_logits((logits, losses): (Vec<f32>, TextLosses), activation: ScoreActivation) -> PairScores {
    let predictions = logits.into_iter().map(|x| LABEL_SCALE * f64::from(activation.apply(x))).collect();
    PairScores { predictions, similarities: Vec::new(), losses }
}

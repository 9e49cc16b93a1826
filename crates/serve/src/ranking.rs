//! The rows of a file against one sentence: checked whole, read in pieces, equal sentences encoded once.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use actix_web::web;
use data::score_of;
use futures_util::{TryStreamExt, stream};
use model::SimilarityFunction;
use serde::{Serialize, Serializer, ser::SerializeMap};
use utoipa::ToSchema;

use crate::{
    embedder::{Cost, Embedder},
    engine::{Admission, Embedding},
    error::ApiError,
    rows::Rows,
};

const PIECE: usize = 256; // sentences that are given to the engine at once
const AHEAD: usize = 2; // pieces in the queue, so that the engine never waits for the next

/// A file whose rows can all be read.
pub(crate) struct Checked {
    rows: Rows,
    count: usize,
}

/// Scores of rows by their index.
#[derive(Debug)]
pub(crate) struct Scores {
    rows: Vec<Option<u32>>, // which distinct sentence each is; none where it is empty
    scores: Vec<f32>,       // of the distinct sentences
}

/// A row among the best.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ranked {
    /// The row's index, from 0.
    pub(crate) index: usize,
    /// Its sentence.
    pub(crate) sentence: String,
    /// 5 · cosine with the base sentence; null where the row is empty.
    #[schema(minimum = -5, maximum = 5)]
    pub(crate) score: Option<f32>,
}

impl Checked {
    /// Reads the file to its end, so that what is wrong with it is known before the first row is encoded.
    pub(crate) fn new(mut rows: Rows, max_rows: usize) -> Result<Self, ApiError> {
        let mut count = 0;
        for row in rows.by_ref() {
            row?;
            count += 1;
            if count > max_rows {
                return Err(ApiError::TooLarge(format!(
                    "the file has more than {max_rows} rows, the server's max_csv_rows"
                )));
            }
        }
        Ok(Self { rows: rows.rewind()?, count })
    }

    /// Its rows, before the first.
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Scores every row against `base`; gives the file back for another reading.
    pub(crate) async fn score(
        self,
        embedder: &Embedder,
        base: String,
        truncate: bool,
    ) -> Result<(Self, Scores, Cost), ApiError> {
        let (base, mut cost) = embedder.embed(vec![base], truncate, Admission::Bounded).await?;
        let base = &base[0];
        let reader = Reader::new(self.rows, self.count);
        let (finished, mut last) = tokio::sync::oneshot::channel();
        let pieces = stream::try_unfold((reader, Some(finished)), |(mut reader, mut finished)| async move {
            let (reader, piece) = web::block(move || {
                let piece = reader.piece();
                (reader, piece)
            })
            .await?;
            let piece = piece?;
            if piece.is_empty() {
                let _ = finished.take().expect("the stream ends once").send(reader);
                return Ok::<_, ApiError>(None);
            }
            Ok(Some((piece, (reader, finished))))
        });
        let embedded = pieces.map_ok(|piece| embedder.embed(piece, truncate, Admission::Part)).try_buffered(AHEAD);
        let mut embedded = std::pin::pin!(embedded);
        let mut scores = Vec::new();
        while let Some((embeddings, part)) = embedded.try_next().await? {
            cost.add(part);
            let score = |other: &Embedding| score_of(SimilarityFunction::Cosine.of(base, other)) as f32;
            scores.extend(embeddings.iter().map(score));
        }
        let reader = last.try_recv().map_err(|_| ApiError::Backend("the rows came to no end".to_owned()))?;
        let scores = Scores { rows: reader.ids, scores };
        Ok((Self { rows: reader.rows.rewind()?, count: self.count }, scores, cost))
    }

    /// The best `count` rows with their sentences, best first; equal ones in the file's order, empty ones last.
    pub(crate) fn best(mut self, scores: &Scores, count: usize) -> Result<Vec<Ranked>, ApiError> {
        let mut order: Vec<usize> = (0..scores.rows.len()).collect();
        let score = |index: usize| scores.get(index).unwrap_or(f32::NEG_INFINITY);
        let better = |a: &usize, b: &usize| score(*b).total_cmp(&score(*a)).then(a.cmp(b));
        if count < order.len() {
            order.select_nth_unstable_by(count, better);
            order.truncate(count);
        }
        order.sort_unstable_by(better);
        let mut places: HashMap<usize, usize> =
            order.iter().enumerate().map(|(place, &index)| (index, place)).collect();
        let mut best: Vec<Option<Ranked>> = order.iter().map(|_| None).collect();
        let mut index = 0;
        while !places.is_empty() {
            let Some(row) = self.rows.next() else { break };
            let sentence = row?;
            if let Some(place) = places.remove(&index) {
                best[place] = Some(Ranked { index, sentence, score: scores.get(index) });
            }
            index += 1;
        }
        Ok(best.into_iter().flatten().collect())
    }
}

impl Scores {
    fn get(&self, index: usize) -> Option<f32> {
        self.rows[index].map(|id| self.scores[id as usize])
    }
}

impl Serialize for Scores {
    /// `{"0": 4.1, "1": null, …}`
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.rows.len()))?;
        for index in 0..self.rows.len() {
            map.serialize_entry(&index, &self.get(index))?;
        }
        map.end()
    }
}

/// Reads rows and tells which sentence each is. Only digests of sentences are kept, so that memory does not grow with
/// their length; 128 bits of two keyed hashes take no two sentences for one.
struct Reader {
    rows: Rows,
    hashes: [RandomState; 2],
    seen: HashMap<[u64; 2], u32>,
    ids: Vec<Option<u32>>,
}

impl Reader {
    fn new(rows: Rows, count: usize) -> Self {
        Self { rows, hashes: Default::default(), seen: HashMap::new(), ids: Vec::with_capacity(count) }
    }

    /// The next sentences that were not seen before; none at the file's end.
    fn piece(&mut self) -> Result<Vec<String>, ApiError> {
        let mut piece = Vec::new();
        while piece.len() < PIECE {
            let Some(row) = self.rows.next() else { break };
            let sentence = row?;
            if sentence.is_empty() {
                self.ids.push(None);
                continue;
            }
            let digest = [0, 1].map(|index: usize| self.hashes[index].hash_one(&sentence));
            let next = self.seen.len() as u32;
            let id = *self.seen.entry(digest).or_insert(next);
            self.ids.push(Some(id));
            if id == next {
                piece.push(sentence);
            }
        }
        Ok(piece)
    }
}

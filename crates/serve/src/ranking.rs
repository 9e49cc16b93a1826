//! The rows of a file against one sentence: checked whole, read in pieces, equal sentences encoded once, answered in pieces.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    io::{self, Read, Seek, SeekFrom, Write},
};

use actix_web::web;
use data::score_of;
use futures_util::{TryStreamExt, stream};
use model::SimilarityFunction;
use serde::Serialize;
use tempfile::SpooledTempFile;
use utoipa::ToSchema;

use crate::{
    cache::Holder,
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

/// Bytes of an answer that are written at once.
const WRITTEN: usize = 32 << 10;

/// Bytes of the best rows' sentences that are kept in memory; more of them lie in a file until they are sent.
const KEPT: usize = 1 << 20;

/// Stands for the sentence of a row without one, and for the place of a row that is not among the best.
const NONE: u32 = u32::MAX;

/// Scores of rows by their index.
#[derive(Debug)]
pub(crate) struct Scores {
    rows: Vec<u32>,   // which distinct sentence each is, or `NONE`
    scores: Vec<f32>, // of the distinct sentences
}

/// An answer that is written piece by piece, as the client takes it: it may have many times the memory of the scores.
pub(crate) enum Written {
    /// `{"0": 4.1, "1": null, …}`
    Scores { scores: Scores, next: usize },
    /// `{"results": […]}`
    Best { best: Best, next: usize },
}

/// The best rows in their order, with their sentences.
pub(crate) struct Best {
    scores: Scores,
    order: Vec<u32>,            // rows, best first
    reranked: Vec<Option<f32>>, // a reranker's score of each; empty where none sorted them
    places: Vec<u64>,           // where the sentence of each begins in `sentences`
    sentences: SpooledTempFile, // each with its length before it
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
    /// The reranker's score, where it sorted the rows; null where the row is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rerank_score: Option<Option<f32>>,
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
        holder: Holder,
        base: String,
        truncate: bool,
    ) -> Result<(Self, Scores, Cost), ApiError> {
        let (base, mut cost) = embedder.embed(holder, None, vec![base], truncate, Admission::Bounded).await?;
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
        let embedded =
            pieces.map_ok(|piece| embedder.embed(holder, None, piece, truncate, Admission::Part)).try_buffered(AHEAD);
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
    pub(crate) fn best(mut self, scores: Scores, count: usize) -> Result<Best, ApiError> {
        let mut order: Vec<u32> = (0..scores.rows.len() as u32).collect();
        let score = |row: u32| scores.get(row as usize).unwrap_or(f32::NEG_INFINITY);
        let better = |a: &u32, b: &u32| score(*b).total_cmp(&score(*a)).then(a.cmp(b));
        if count < order.len() {
            order.select_nth_unstable_by(count, better);
            order.truncate(count);
        }
        order.sort_unstable_by(better);
        let mut place_of = vec![NONE; scores.rows.len()];
        (0..).zip(&order).for_each(|(place, &row)| place_of[row as usize] = place);
        let kept = |error: io::Error| ApiError::Backend(format!("cannot keep the best rows: {error}"));
        let (mut sentences, mut end) = (SpooledTempFile::new(KEPT), 0);
        let mut places = vec![0; order.len()];
        for &place in &place_of {
            let Some(row) = self.rows.next() else { break };
            let sentence = row?;
            if place != NONE {
                places[place as usize] = end;
                let length = sentence.len() as u32; // within a body's bytes
                sentences.write_all(&length.to_le_bytes()).map_err(kept)?;
                sentences.write_all(sentence.as_bytes()).map_err(kept)?;
                end += 4 + u64::from(length);
            }
        }
        Ok(Best { scores, order, reranked: Vec::new(), places, sentences })
    }
}

impl Scores {
    fn get(&self, row: usize) -> Option<f32> {
        let id = self.rows[row];
        (id != NONE).then(|| self.scores[id as usize])
    }
}

impl Best {
    fn row(&mut self, place: usize) -> io::Result<Ranked> {
        self.sentences.seek(SeekFrom::Start(self.places[place]))?;
        let mut length = [0; 4];
        self.sentences.read_exact(&mut length)?;
        let mut sentence = vec![0; u32::from_le_bytes(length) as usize];
        self.sentences.read_exact(&mut sentence)?;
        let index = self.order[place] as usize;
        let sentence = String::from_utf8(sentence).map_err(io::Error::other)?;
        let rerank_score = self.reranked.get(place).copied();
        Ok(Ranked { index, sentence, score: self.scores.get(index), rerank_score })
    }

    /// The sentences of the rows that have one, best first: they stand before those that have none.
    pub(crate) fn texts(&mut self) -> io::Result<Vec<String>> {
        let filled = self.order.iter().take_while(|&&row| self.scores.get(row as usize).is_some()).count();
        (0..filled).map(|place| Ok(self.row(place)?.sentence)).collect()
    }

    /// Sorts the rows that have a sentence by a reranker's scores of these, and keeps the best.
    pub(crate) fn rerank(&mut self, scores: Vec<f32>, kept: Option<usize>) {
        let score = |place: usize| scores.get(place).copied();
        let mut places: Vec<usize> = (0..self.order.len()).collect();
        let of = |place: usize| score(place).unwrap_or(f32::NEG_INFINITY);
        places.sort_by(|a, b| of(*b).total_cmp(&of(*a)));
        places.truncate(kept.unwrap_or(usize::MAX));
        self.order = places.iter().map(|&place| self.order[place]).collect();
        self.places = places.iter().map(|&place| self.places[place]).collect();
        self.reranked = places.into_iter().map(score).collect();
    }
}

impl Written {
    /// Every row's score.
    pub(crate) fn scores(scores: Scores) -> Self {
        Self::Scores { scores, next: 0 }
    }

    /// The best rows.
    pub(crate) fn best(best: Best) -> Self {
        Self::Best { best, next: 0 }
    }

    /// The next piece, and whether it is the last.
    pub(crate) fn piece(&mut self) -> io::Result<(Vec<u8>, bool)> {
        let mut piece = Vec::with_capacity(WRITTEN + (WRITTEN >> 3));
        let (next, rows) = match self {
            Self::Scores { scores, next } => (next, scores.rows.len()),
            Self::Best { best, next } => (next, best.order.len()),
        };
        let (mut index, is_first) = (*next, *next == 0);
        while index < rows && piece.len() < WRITTEN {
            if index > 0 {
                piece.push(b',');
            }
            match self {
                Self::Scores { scores, .. } => {
                    write!(piece, "\"{index}\":")?;
                    serde_json::to_writer(&mut piece, &scores.get(index))?;
                }
                Self::Best { best, .. } => serde_json::to_writer(&mut piece, &best.row(index)?)?,
            }
            index += 1;
        }
        let (head, tail) = match self {
            Self::Scores { .. } => ("{", "}"),
            Self::Best { .. } => ("{\"results\":[", "]}"),
        };
        if is_first {
            piece.splice(0..0, head.bytes());
        }
        if index == rows {
            piece.extend_from_slice(tail.as_bytes());
        }
        match self {
            Self::Scores { next, .. } | Self::Best { next, .. } => *next = index,
        }
        Ok((piece, index == rows))
    }
}

/// Reads rows and tells which sentence each is. Only digests of sentences are kept, so that memory does not grow with
/// their length; 128 bits of two keyed hashes take no two sentences for one.
struct Reader {
    rows: Rows,
    hashes: [RandomState; 2],
    seen: HashMap<[u64; 2], u32>,
    ids: Vec<u32>,
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
                self.ids.push(NONE);
                continue;
            }
            let digest = [0, 1].map(|index: usize| self.hashes[index].hash_one(&sentence));
            let next = self.seen.len() as u32;
            let id = *self.seen.entry(digest).or_insert(next);
            self.ids.push(id);
            if id == next {
                piece.push(sentence);
            }
        }
        Ok(piece)
    }
}

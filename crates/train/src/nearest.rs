//! Which sentences are most alike, by their embeddings.

use data::MAX_SCORE;
use eval::LABEL_SCALE;
use tch::{Device, Kind, Tensor};

use crate::progress::Progress;

/// How many neighbours of a sentence are looked for.
pub(crate) const NEIGHBOURS: usize = 64;

/// Sentences whose neighbours are looked for at once.
const QUERIES: usize = 512;

/// The sentences most alike to each, best first, itself left out.
pub(crate) fn nearest(embeddings: &Tensor, device: Device, progress: &Progress) -> anyhow::Result<Vec<Vec<usize>>> {
    let count = embeddings.size()[0];
    let embeddings = embeddings.to_device(device);
    let most = (NEIGHBOURS as i64 + 1).min(count);
    let mut told = progress.counting("looking for neighbours", count as usize, "sentences");
    let mut neighbours = Vec::with_capacity(count as usize);
    for start in (0..count).step_by(QUERIES) {
        let queries = embeddings.narrow(0, start, (QUERIES as i64).min(count - start));
        let (_, places) = queries.matmul(&embeddings.tr()).topk(most, 1, true, true); // (queries, most)
        let places = Vec::<i64>::try_from(places.to_device(Device::Cpu).flatten(0, -1))?;
        neighbours.extend(places.chunks(most as usize).enumerate().map(|(query, places)| {
            let own = start as usize + query;
            let others = places.iter().map(|&place| place as usize).filter(|&place| place != own);
            others.take(NEIGHBOURS).collect::<Vec<_>>()
        }));
        told(queries.size()[0] as usize);
    }
    Ok(neighbours)
}

/// The score of each pair of rows on the labels' scale, to four decimals. `embeddings` is (sentences, hidden), each row of
/// length 1.
pub(crate) fn scores(embeddings: &Tensor, pairs: &[(usize, usize)]) -> anyhow::Result<Vec<f64>> {
    let mut scores = Vec::with_capacity(pairs.len());
    for pairs in pairs.chunks(1 << 14) {
        let side = |place: fn(&(usize, usize)) -> usize| {
            let rows: Vec<i64> = pairs.iter().map(|pair| place(pair) as i64).collect();
            embeddings.index_select(0, &Tensor::from_slice(&rows))
        };
        let cosines = (side(|pair| pair.0) * side(|pair| pair.1)).sum_dim_intlist(1, false, Kind::Double);
        scores.extend(Vec::<f64>::try_from(cosines)?);
    }
    let scale = |cosine: f64| ((LABEL_SCALE * cosine).clamp(0.0, MAX_SCORE) * 1e4).round() / 1e4;
    Ok(scores.into_iter().map(scale).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_the_most_alike_without_the_sentence_itself() {
        let embeddings = Tensor::from_slice2(&[[1.0f32, 0.0], [0.8, 0.6], [0.0, 1.0], [-1.0, 0.0]]);
        let neighbours = nearest(&embeddings, Device::Cpu, &Progress::preparing()).unwrap();
        assert_eq!(neighbours, [vec![1, 2, 3], vec![0, 2, 3], vec![1, 0, 3], vec![2, 1, 0]]);
    }

    #[test]
    fn a_score_is_five_times_the_cosine_within_the_labels_scale() {
        let embeddings = Tensor::from_slice2(&[[1.0f32, 0.0], [0.8, 0.6], [-1.0, 0.0]]);
        assert_eq!(scores(&embeddings, &[(0, 1), (0, 2), (0, 0)]).unwrap(), [4.0, 0.0, 5.0]);
    }
}

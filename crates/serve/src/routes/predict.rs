//! `GET /predict`: how similar two sentences are.

use actix_web::{HttpRequest, web};
use data::score_of;
use model::SimilarityFunction;
use percent_encoding::percent_decode_str;

use super::check_sentence;
use crate::{
    answer::Answer,
    cache::Holder,
    embedder::Cost,
    engine::Admission,
    error::ApiError,
    responses::QueryErrors,
    settings::ScoreBy,
    state::State,
    types::{PairQuery, Score},
};

/// How similar two sentences are
#[utoipa::path(
    get, path = "/predict", tag = "ko-sts", params(PairQuery),
    responses((status = 200, description = "Their similarity", body = Score), QueryErrors)
)]
pub(crate) async fn predict(
    state: web::Data<State>,
    holder: Holder,
    request: HttpRequest,
    pair: web::Query<PairQuery>,
) -> Result<Answer<Score>, ApiError> {
    // Else bytes that are no text would have been replaced by U+FFFD, and scored.
    if percent_decode_str(request.query_string()).decode_utf8().is_err() {
        return Err(ApiError::Malformed("the query is not UTF-8".to_owned()));
    }
    let PairQuery { sentence1, sentence2 } = pair.into_inner();
    check_sentence("sentence1", &sentence1)?;
    check_sentence("sentence2", &sentence2)?;
    let truncate = state.info.auto_truncate;
    let read_together = state.reranker.as_ref().filter(|_| state.info.score_by == ScoreBy::Reranker);
    let mut cost = Cost::default();
    let mut cosine = None;
    if read_together.is_none() || state.embedder().is_ok() {
        let pair = vec![sentence1.clone(), sentence2.clone()];
        let (pair, own) = state.embedder()?.embed(holder, None, pair, truncate, Admission::Bounded).await?;
        cost.add(own);
        cosine = Some(SimilarityFunction::Cosine.of(&pair[0], &pair[1]));
    }
    let score = match (read_together, cosine) {
        (Some(reranker), _) => {
            let (scores, own) = reranker.scores(holder, &sentence1, &[sentence2], truncate, Admission::Bounded).await?;
            cost.add(own);
            f64::from(scores[0])
        }
        (None, cosine) => cosine.ok_or(ApiError::NoEncoder)?,
    };
    Ok(Answer::new(Score { score: score_of(score) as f32, cosine: cosine.map(|cosine| cosine as f32) }, cost))
}

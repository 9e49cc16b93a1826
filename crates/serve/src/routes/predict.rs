//! `GET /predict`: how similar two sentences are.

use actix_web::{HttpRequest, web};
use data::score_of;
use model::SimilarityFunction;
use percent_encoding::percent_decode_str;

use super::check_sentence;
use crate::{
    answer::Answer,
    cache::Holder,
    engine::Admission,
    error::ApiError,
    responses::QueryErrors,
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
    let (pair, cost) = state
        .embedder
        .embed(holder, None, vec![sentence1, sentence2], state.info.auto_truncate, Admission::Bounded)
        .await?;
    let cosine = SimilarityFunction::Cosine.of(&pair[0], &pair[1]);
    Ok(Answer::new(Score { score: score_of(cosine) as f32, cosine: cosine as f32 }, cost))
}

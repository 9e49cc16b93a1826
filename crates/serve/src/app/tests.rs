//! What clients see of an encoder that fails, hangs or breaks.

use std::{sync::Arc, time::Duration};

use actix_web::{
    rt::System,
    test::{self, TestRequest},
};
use model::{Alphabet, Pooling, Precision, Sequence, SimilarityFunction, Tokenizer};
use serde_json::Value;

use super::*;
use crate::{
    cache::EmbeddingCache,
    embedder::Embedder,
    engine::{Encode, Engine, Input, Options},
    loading::{self, Loaded, LoadedEncoder},
    metrics::Metrics,
    settings::{Raw, Settings},
};

/// An encoder whose mood depends on how many tokens a sentence has.
struct Moody {
    is_broken: bool,
}

const PANICS: usize = 8;
const BREAKS: usize = 9;
const SLEEPS: usize = 10;

#[derive(Debug, thiserror::Error)]
#[error("broken")]
struct Broken;

impl Encode for Moody {
    type Error = Broken;

    fn encode(&mut self, sentences: &[Input]) -> Result<Vec<Vec<f32>>, Broken> {
        let longest = sentences.iter().map(|sentence| sentence.ids().len()).max().unwrap();
        assert_ne!(longest, PANICS, "a panic within the encoder");
        self.is_broken |= longest == BREAKS;
        if longest == SLEEPS {
            std::thread::sleep(Duration::from_millis(500));
        }
        if self.is_broken { Err(Broken) } else { Ok(vec![vec![1.0, 2.0]; sentences.len()]) }
    }
}

fn state(patience: Duration) -> web::Data<State> {
    state_with(|settings| settings.timeouts.request = patience)
}

fn state_with(change: impl FnOnce(&mut Settings)) -> web::Data<State> {
    let mut settings = Settings::load(&Raw::default(), None).unwrap();
    change(&mut settings);
    let metrics = Arc::new(Metrics::new());
    let tokenizer = Tokenizer::train(&["가 나 다 라"], Alphabet::Syllables, 50, 20).unwrap();
    let probe = tokenizer.encode(&["가"]).unwrap().remove(0);
    let options = Options { max_batch_tokens: 100, max_queue_tokens: 1000 };
    let engine = Engine::start(|| Ok((Moody { is_broken: false }, vec![probe.into()])), options, 1, metrics.clone());
    let engine = Arc::new(engine.unwrap());
    let encoder = LoadedEncoder {
        tokenizer,
        prompts: Default::default(),
        pools_prompt: true,
        dimensions: 2,
        normalizes: false,
        matryoshka: Default::default(),
        pooling: Pooling::MEAN,
        pooling_was_assumed: false,
        pooling_beside_directory: None,
        similarity: SimilarityFunction::Cosine,
    };
    let loaded = Loaded { encoder: Some(encoder.clone()), reranker: None };
    let info = loading::info(&settings, &loaded, Precision::F32, 100);
    let embedder = Embedder::new(
        engine.clone(),
        encoder.tokenizer.clone(),
        encoder.prompts(),
        loading::outputs(&settings, &encoder, None),
        Arc::new(EmbeddingCache::new(0, metrics.clone())),
        metrics.clone(),
    );
    web::Data::new(State::new(engine, Some(embedder), None, None, info, &settings, metrics).unwrap())
}

/// Status and body of requests, one after the other; a number is a pair of sentences with that many tokens.
fn answers(requests: &[usize]) -> Vec<(u16, Value)> {
    answers_within(Duration::from_secs(30), requests)
}

fn answers_within(patience: Duration, requests: &[usize]) -> Vec<(u16, Value)> {
    System::new().block_on(async {
        let app = test::init_service(app(state(patience))).await;
        let mut answers = Vec::new();
        for &tokens in requests {
            let path = match tokens {
                0 => "/health".to_owned(),
                tokens => format!("/predict?sentence1=x&sentence2={}", "a+".repeat(tokens - 2)),
            };
            let response = test::call_service(&app, TestRequest::get().uri(&path).to_request()).await;
            let status = response.status().as_u16();
            let body = test::read_body(response).await;
            answers.push((status, serde_json::from_slice(&body).unwrap_or_default()));
        }
        answers
    })
}

#[test]
fn a_panic_is_one_requests_500_and_the_next_request_works() {
    let answers = answers(&[3, PANICS, 3, 0]);
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 500, 200, 200]);
    let error = answers[1].1["error"].as_str().unwrap();
    assert!(error.starts_with("the encoder failed: ") && error.contains("a panic within the encoder"), "{error}");
    assert_eq!(answers[1].1["error_type"], "Backend");
}

#[test]
fn an_engine_that_cannot_go_on_is_told_by_health() {
    let statuses: Vec<u16> = answers(&[0, BREAKS, 3, 0]).iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 500, 503, 503]);
}

#[test]
fn an_answer_that_is_late_is_given_up() {
    let answers = answers_within(Duration::from_millis(200), &[SLEEPS, 0]);
    assert_eq!(answers[0].0, 503);
    assert_eq!(answers[0].1["error"], "the answer was not ready within 0.2 s");
    assert_eq!(answers[1].0, 200);
}

#[test]
fn a_batch_that_takes_too_long_is_told_by_health() {
    System::new().block_on(async {
        let app = test::init_service(app(state_with(|settings| {
            settings.timeouts.stuck_after = Duration::from_millis(100);
        })))
        .await;
        let health = || async {
            test::call_service(&app, TestRequest::get().uri("/health").to_request()).await.status().as_u16()
        };
        assert_eq!(health().await, 200);
        let path = format!("/predict?sentence1=x&sentence2={}", "a+".repeat(SLEEPS - 2));
        let slow = test::call_service(&app, TestRequest::get().uri(&path).to_request());
        let watch = async {
            actix_web::rt::time::sleep(Duration::from_millis(50)).await;
            let early = health().await;
            actix_web::rt::time::sleep(Duration::from_millis(200)).await;
            (early, health().await)
        };
        let (slow, (early, late)) = futures_util::future::join(slow, watch).await;
        assert_eq!((slow.status().as_u16(), early, late), (200, 200, 503));
        assert_eq!(health().await, 200, "it is over");
    });
}

#[test]
fn a_server_ends_with_its_engine() {
    System::new().block_on(async {
        let state = state(Duration::from_secs(30));
        let shared = state.clone();
        let server = actix_web::HttpServer::new(move || app(shared.clone())).workers(1).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        let running = actix_web::rt::spawn(crate::serving::server_until_engine_ends(server.run(), state));
        let asked = actix_web::rt::task::spawn_blocking(move || {
            let path = format!("http://{address}/predict?sentence1=x&sentence2={}", "a+".repeat(BREAKS - 2));
            ureq::get(path).config().http_status_as_error(false).build().call().unwrap().status().as_u16()
        });
        assert_eq!(asked.await.unwrap(), 500, "whoever waited for it is answered");
        let end = actix_web::rt::time::timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
        assert!(matches!(end, Err(crate::Error::EngineEnded)), "{end:?}");
    });
}

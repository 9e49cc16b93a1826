//! The engine with an encoder that tells what it is given.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use model::Sequence;

use super::*;

const FAILS: i64 = -1; // a token on which the encoder fails
const PANICS: i64 = -2; // one on which it panics
const BREAKS: i64 = -3; // one after which it never works again

#[derive(Debug, thiserror::Error)]
#[error("cannot encode this")]
struct Refused;

/// An embedding is the sentence's first token, and its length.
struct Fake {
    gate: Receiver<()>,                 // one item lets one batch pass
    batches: Arc<Mutex<Vec<Vec<i64>>>>, // the first tokens of each
    begun: SyncSender<()>,
    is_broken: bool,
    is_probed: bool,
}

impl Encode for Fake {
    type Error = Refused;

    fn encode(&mut self, inputs: &[Input]) -> Result<Vec<Vec<f32>>, Refused> {
        let sentences: Vec<&[i64]> = inputs.iter().map(Sequence::ids).collect();
        if std::mem::replace(&mut self.is_probed, true) && sentences[0] != [0] {
            let _ = self.begun.send(());
            let _ = self.gate.recv();
            self.batches.lock().unwrap().push(sentences.iter().map(|sentence| sentence[0]).collect());
        }
        let holds = |token| sentences.iter().copied().flatten().any(|own| *own == token);
        self.is_broken |= holds(BREAKS);
        if self.is_broken || holds(FAILS) {
            return Err(Refused);
        }
        assert!(!holds(PANICS), "a tensor of the wrong shape\nand a call stack");
        Ok(sentences.iter().map(|sentence| vec![sentence[0] as f32, sentence.len() as f32]).collect())
    }
}

/// An engine, and the strings to pull.
struct Stage {
    engine: Engine,
    pass: SyncSender<()>,
    begun: Receiver<()>,
    batches: Arc<Mutex<Vec<Vec<i64>>>>,
    metrics: Arc<Metrics>,
}

fn stage(max_batch_tokens: usize, max_queue_tokens: usize) -> Stage {
    let (pass, gate) = sync_channel(1000);
    let (begin, begun) = sync_channel(1000);
    let batches = Arc::new(Mutex::default());
    let fake = Fake { gate, batches: batches.clone(), begun: begin, is_broken: false, is_probed: false };
    let metrics = Arc::new(Metrics::new());
    let options = Options { max_batch_tokens, max_queue_tokens };
    let engine = Engine::start(|| Ok((fake, vec![vec![0].into()])), options, 1, metrics.clone()).unwrap();
    Stage { engine, pass, begun, batches, metrics }
}

impl Stage {
    fn submit(&self, sentences: &[&[i64]]) -> Result<Pending, Failure> {
        self.engine.submit(sentences.iter().map(|ids| ids.to_vec()), Admission::Bounded)
    }

    fn part(&self, first: i64, count: i64) -> Pending {
        self.engine.submit((first..first + count).map(|id| vec![id; 4]), Admission::Part).unwrap()
    }

    /// Waits until the encoder has begun a batch.
    fn await_batch(&self) {
        self.begun.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    fn pass_all(&self) {
        (0..500).for_each(|_| self.pass.send(()).unwrap());
    }
}

fn outcome(pending: Pending) -> Result<Vec<f32>, Failure> {
    let computed = actix_web::rt::System::new().block_on(pending.outcome())?;
    Ok(computed.embeddings.iter().map(|embedding| embedding[0]).collect())
}

#[test]
fn a_lone_request_does_not_wait_for_company() {
    let stage = stage(100, 1000);
    stage.pass_all();
    let started = std::time::Instant::now();
    assert_eq!(outcome(stage.submit(&[&[7, 7], &[8]]).unwrap()).unwrap(), [7.0, 8.0]);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn whatever_waits_is_batched_within_the_token_budget() {
    let stage = stage(10, 1000);
    let first = stage.submit(&[&[1]]).unwrap();
    stage.await_batch();
    let waiting: Vec<Pending> = (2..8).map(|id| stage.submit(&[&[id, id, id]]).unwrap()).collect();
    stage.pass_all();
    assert_eq!(outcome(first).unwrap(), [1.0]);
    for (id, pending) in (2..8).zip(waiting) {
        assert_eq!(outcome(pending).unwrap(), [id as f32]);
    }
    assert_eq!(*stage.batches.lock().unwrap(), [vec![1], vec![2, 3, 4], vec![5, 6, 7]]);
}

#[test]
fn a_request_beyond_one_batch_is_cut_and_comes_back_whole() {
    let stage = stage(10, 1000);
    stage.pass_all();
    let sentences: Vec<Vec<i64>> = (1..10).map(|id| vec![id; 4]).collect();
    let pending = stage.engine.submit(sentences, Admission::Bounded).unwrap();
    assert_eq!(outcome(pending).unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    assert_eq!(stage.batches.lock().unwrap().len(), 5);
}

#[test]
fn small_requests_and_large_work_take_turns() {
    let stage = stage(8, 1000);
    let large = stage.part(100, 8); // 4 batches of 2 sentences
    stage.await_batch();
    let small: Vec<Pending> = (1..4).map(|id| stage.submit(&[&[id; 8]]).unwrap()).collect();
    stage.pass_all();
    small.into_iter().for_each(|pending| drop(outcome(pending).unwrap()));
    assert_eq!(outcome(large).unwrap().len(), 8);
    let batches = stage.batches.lock().unwrap();
    let order: Vec<i64> = batches.iter().map(|batch| batch[0]).collect();
    assert_eq!(order, [100, 1, 102, 2, 104, 3, 106]);
}

#[test]
fn large_works_take_turns_among_themselves() {
    let stage = stage(8, 1000);
    let (one, two) = (stage.part(100, 4), stage.part(200, 4));
    stage.await_batch();
    stage.pass_all();
    assert_eq!((outcome(one).unwrap().len(), outcome(two).unwrap().len()), (4, 4));
    let order: Vec<i64> = stage.batches.lock().unwrap().iter().map(|batch| batch[0]).collect();
    assert_eq!(order, [100, 200, 102, 202]);
}

#[test]
fn what_nobody_waits_for_is_not_computed() {
    let stage = stage(10, 1000);
    let first = stage.submit(&[&[1]]).unwrap();
    stage.await_batch();
    drop(stage.submit(&[&[2]]).unwrap());
    let last = stage.submit(&[&[3]]).unwrap();
    stage.pass_all();
    outcome(first).unwrap();
    outcome(last).unwrap();
    assert_eq!(*stage.batches.lock().unwrap(), [vec![1], vec![3]]);
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_come_back() {
    let stage = stage(4, 10);
    let first = stage.submit(&[&[1]]).unwrap();
    stage.await_batch();
    let _second = stage.submit(&[&[2; 6]]).unwrap();
    let refused = stage.submit(&[&[3; 5]]).unwrap_err();
    assert!(matches!(refused, Failure::Overloaded { retry_after: 1.. }), "{refused:?}");
    let third = stage.submit(&[&[3; 4]]).unwrap();
    assert_eq!(stage.metrics.queue_size.get(), 2);
    // Parts of admitted work do not count, and are not refused.
    let part = stage.part(100, 50);
    stage.pass_all();
    for pending in [first, third, part] {
        outcome(pending).unwrap();
    }
    assert_eq!(stage.metrics.queue_size.get(), 0);
}

#[test]
fn a_failure_or_panic_fails_only_the_request_that_is_to_blame() {
    for (token, what) in [(FAILS, "cannot encode this"), (PANICS, "a tensor of the wrong shape")] {
        let stage = stage(100, 1000);
        let first = stage.submit(&[&[1]]).unwrap();
        stage.await_batch();
        let (good, bad, other) =
            (stage.submit(&[&[2]]).unwrap(), stage.submit(&[&[token]]).unwrap(), stage.submit(&[&[3]]).unwrap());
        stage.pass_all();
        assert_eq!(outcome(first).unwrap(), [1.0]);
        assert_eq!((outcome(good).unwrap(), outcome(other).unwrap()), (vec![2.0], vec![3.0]));
        assert_eq!(outcome(bad).unwrap_err(), Failure::Encoder(what.to_owned()));
        assert_eq!(outcome(stage.submit(&[&[4]]).unwrap()).unwrap(), [4.0]);
        assert!(stage.engine.is_running());
    }
}

#[test]
fn an_encoder_that_cannot_go_on_stops_the_engine() {
    let stage = stage(100, 1000);
    stage.pass_all();
    let failed = outcome(stage.submit(&[&[BREAKS]]).unwrap()).unwrap_err();
    assert_eq!(failed, Failure::Encoder("cannot encode this".to_owned()));
    for _ in 0..1000 {
        if !stage.engine.is_running() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!stage.engine.is_running());
    assert_eq!(stage.submit(&[&[1]]).map(drop).unwrap_err(), Failure::Stopped);
}

#[test]
fn an_encoder_that_does_not_encode_does_not_start() {
    struct Broken;
    impl Encode for Broken {
        type Error = Refused;
        fn encode(&mut self, inputs: &[Input]) -> Result<Vec<Vec<f32>>, Refused> {
            Ok(inputs.iter().map(|_| vec![f32::NAN]).collect())
        }
    }
    let options = Options { max_batch_tokens: 10, max_queue_tokens: 10 };
    let started = Engine::start(|| Ok((Broken, vec![vec![1].into()])), options, 1, Arc::default());
    assert_eq!(started.map(drop).unwrap_err().to_string(), "the model does not encode: an embedding is not finite");
}

//! A server as users start it, and requests to it.
#![allow(clippy::unwrap_used, dead_code)] // A test may panic, and uses what it needs.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use ureq::{Agent, Body, http::Response};

/// A tiny model with random weights, 24 tokens per sentence, hidden 32, with mean pooling.
pub(crate) fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/st-roberta-tiny-new")
}

/// Sentences of which no two are equal.
pub(crate) fn sentences(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number}번째 문장은 비가 {} 온다.", number * 7)).collect()
}

/// A server that runs, on a port of its own.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serve"));
    command.args(["--device", "cpu", "--threads", "1"]).args(arguments).env_remove("KO_STS_API_KEYS");
    command
}

impl Server {
    /// Starts a server on the tiny model in f32.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments).args(["--port", "0", "--precision", "f32", "--model"]).arg(model()))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let port = loop {
            let line = lines.next().unwrap_or_else(|| panic!("the server ended: {:?}", log.lock().unwrap())).unwrap();
            log.lock().unwrap().push(line.clone());
            if let Some((_, address)) = line.split_once("listening on http") {
                let port = address.split(':').nth(2).unwrap();
                break port.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
            }
        };
        let kept = log.clone();
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line)));
        Self { child, port, log }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        Answer::new(agent().get(self.url(path)).call().unwrap())
    }

    pub(crate) fn predict(&self, sentence1: &str, sentence2: &str) -> Answer {
        let request = agent().get(self.url("/predict")).query("sentence1", sentence1).query("sentence2", sentence2);
        Answer::new(request.call().unwrap())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_bytes(path, "application/json", body.to_string().as_bytes())
    }

    pub(crate) fn post_bytes(&self, path: &str, content_type: &str, body: &[u8]) -> Answer {
        Answer::new(agent().post(self.url(path)).header("Content-Type", content_type).send(body).unwrap())
    }

    /// Ranks a file; each field is a name and a value.
    pub(crate) fn rank(&self, file: &[u8], fields: &[(&str, &str)]) -> Answer {
        self.post_bytes("/predict", FORM, &form(file, fields))
    }

    /// Sends bytes as they are, and reads what comes until the connection is closed.
    pub(crate) fn raw(&self, request: &[u8]) -> String {
        let mut connection = self.connect();
        connection.write_all(request).unwrap();
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        connection
    }

    /// The value of a metric, 0 where it is not there yet.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for the server's end; its exit status.
    pub(crate) fn status(&mut self) -> Option<i32> {
        wait_until("the server ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn new(mut response: Response<Body>) -> Self {
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let body = response.body_mut().with_config().limit(100 << 20).read_to_string().unwrap();
        Self { status: response.status().as_u16(), headers, text: body }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value)
    }

    /// The JSON of an answer that is good.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    /// The message of an error with this status.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/json");
        let body: Value = serde_json::from_str(&self.text).unwrap();
        assert!(body["error_type"].is_string(), "{body}");
        body["error"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60)));
    config.build().into()
}

pub(crate) const FORM: &str = "multipart/form-data; boundary=edge";

pub(crate) fn form(file: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend(
            format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes(),
        );
    }
    let head = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\
                Content-Type: text/csv\r\n\r\n";
    body.extend([head.as_bytes(), file, b"\r\n--edge--\r\n"].concat());
    body
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < end, "not within 30 s: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The reference: embeddings by the library, one sentence at a time.
pub(crate) struct Direct(model::SentenceEncoder);

impl Direct {
    pub(crate) fn load() -> Self {
        Self(model::SentenceEncoder::load(model(), &model::Options::default()).unwrap())
    }

    pub(crate) fn embed(&self, sentence: &str) -> Vec<f64> {
        self.0.encode(&[sentence]).unwrap()[0].iter().map(|x| f64::from(*x)).collect()
    }

    pub(crate) fn cosine(&self, a: &str, b: &str) -> f64 {
        let (a, b) = (self.embed(a), self.embed(b));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
    }
}

pub(crate) fn assert_close(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap();
    assert!((value - expected).abs() < 1e-4, "{value}, expected {expected}");
}

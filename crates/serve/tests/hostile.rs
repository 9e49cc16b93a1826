//! What comes from clients that are broken, slow, gone or malicious: an error or a timeout, and the next is served.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use common::{Answer, FORM, Server, agent, form, sentences, wait_until};

fn is_well(server: &Server) {
    assert_eq!(server.predict("비가 온다.", "비가 내린다.").status, 200);
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn broken_bodies_are_errors() {
    let server = Server::start(&[]);
    for (body, status) in [
        (&b"{"[..], 400),
        (b"", 400),
        (b"{\"inputs\": \"\\ud800\"}", 400),
        (b"{\"inputs\": \"\xFF\"}", 400),
        (b"{\"inputs\": nul}", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b"{\"inputs\": null}", 422),
        (b"{\"inputs\": [1]}", 422),
        (b"{\"inputs\": [[\"a\"]]}", 422),
        (b"{\"inputs\": \"a\", \"truncate\": \"yes\"}", 422),
    ] {
        for path in ["/embed", "/"] {
            let answer = server.post_bytes(path, "application/json", body);
            answer.error(status);
        }
    }
    let deep = [b"{\"inputs\": ".as_slice(), &b"[".repeat(100_000)].concat();
    assert!((400..500).contains(&server.post_bytes("/embed", "application/json", &deep).status));
    server.post_bytes("/embed", "text/plain", b"{\"inputs\": \"a\"}").error(415);
    assert_eq!(
        server.post_bytes("/embed", "application/json; charset=utf-8", b"{\"inputs\": \"a\\u0000b\"}").status,
        200
    );
    is_well(&server);
}

#[test]
fn a_sentence_of_a_megabyte_is_cut_and_counted() {
    let server = Server::start(&[]);
    // A word that is too long to be split is one unknown token, and NUL is none.
    for (text, truncated) in [("가".repeat(350_000), "0"), ("가 ".repeat(350_000), "1"), ("\u{0}".repeat(100_000), "0")]
    {
        let answer = server.post("/embed", &serde_json::json!({ "inputs": text }));
        assert_eq!((answer.status, answer.header("x-truncated")), (200, truncated), "{}", answer.text);
    }
    assert_eq!(server.metric("te_truncated_count"), 1.0);
    is_well(&server);
}

#[test]
fn wrong_methods_paths_and_headers_are_errors() {
    let server = Server::start(&[]);
    let answer = Answer::new(agent().delete(server.url("/predict")).call().unwrap());
    answer.error(405);
    assert_eq!(answer.header("allow"), "GET, POST");
    for path in
        ["/../../etc/passwd", "/docs/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/docs/%2e%2e%2fCargo.toml"]
    {
        let answer = server.raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
    }
    for path in ["/nope", "/docs/nope"] {
        server.get(path).error(404);
    }
    let big = format!("GET /health HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(1 << 20));
    let answer = server.raw(big.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{}", &answer[..answer.len().min(200)]);
    for garbage in
        ["\x16\x03\x01", "GET / HTTP/9.9\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"]
    {
        let answer = server.raw(format!("{garbage}\r\n\r\n").as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    is_well(&server);
}

#[test]
fn slow_clients_are_given_up() {
    let server = Server::start(&["--header-timeout", "0.5", "--body-timeout", "0.5", "--upload-timeout", "0.5"]);
    let form_head = format!("Content-Type: {FORM}\r\nContent-Length: 1000\r\n\r\n--edge\r\n");
    for (request, expected) in [
        ("".to_owned(), ""),
        ("GET /health HTTP/1.1\r\nHost:".to_owned(), "408"),
        (
            "POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
                .to_owned(),
            "408",
        ),
        (format!("POST /predict HTTP/1.1\r\nHost: x\r\n{form_head}"), "408"),
    ] {
        let begun = Instant::now();
        let answer = server.raw(request.as_bytes());
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(
            answer.contains(expected) && (answer.is_empty() || answer.starts_with("HTTP/1.1 4")),
            "{request:?}: {answer:?}"
        );
    }
    is_well(&server);
}

#[test]
fn a_slow_upload_keeps_no_other_file_out() {
    let server = Server::start(&["--max-csv-jobs", "1"]);
    let mut slow = server.connect();
    let head =
        format!("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 1000\r\n\r\n--edge\r\n");
    slow.write_all(head.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(200)); // until the server has begun to receive it
    assert_eq!(server.rank("text\n비가 온다.\n".as_bytes(), &[("base_sentence", "비가 내린다.")]).status, 200);
}

#[test]
fn a_client_that_hangs_up_is_dropped() {
    let server = Server::start(&["--max-batch-tokens", "24", "--cache-mib", "0"]);
    let body = form(sentences(100_000).join("\n").as_bytes(), &[("base_sentence", "비가 온다.")]);
    let mut connection = server.connect();
    let head =
        format!("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&body).unwrap();
    wait_until("the file is in work", || server.metric("te_batch_next_size_sum") > 100.0);
    drop(connection);
    wait_until("the queue is empty", || server.metric("te_queue_size") == 0.0);
    thread::sleep(Duration::from_millis(200));
    let computed = server.metric("te_batch_next_size_sum");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(server.metric("te_batch_next_size_sum"), computed);
    assert!(computed < 90_000.0, "{computed}: the file was too short for this test");
    is_well(&server);
}

#[test]
fn overload_is_told_at_once_on_every_route() {
    let server = Server::start(&[
        "--max-batch-tokens",
        "4",
        "--max-queue-tokens",
        "24",
        "--max-csv-jobs",
        "1",
        "--cache-mib",
        "0",
    ]);
    let body = form(sentences(100_000).join("\n").as_bytes(), &[("base_sentence", "비가 온다.")]);
    let mut connection = server.connect();
    let head =
        format!("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&body).unwrap();
    wait_until("the file is in work", || server.metric("te_batch_next_size_sum") > 100.0);
    let refused = server.rank(b"text\nabc\n", &[("base_sentence", "a")]);
    refused.error(429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);

    // Longer than the queue: the first waits, and what comes meanwhile is refused.
    // Long sentences, so that it is in work for a good while.
    let long: Vec<String> = sentences(500).iter().map(|sentence| format!("{sentence} ").repeat(100)).collect();
    let inputs = serde_json::json!({ "inputs": long });
    let url = server.url("/embed");
    let large = inputs.to_string();
    let first = thread::spawn(move || {
        Answer::new(agent().post(url).header("Content-Type", "application/json").send(large).unwrap())
    });
    wait_until("the list is in the queue", || server.metric("te_queue_tokens") > 24.0);
    for answer in [
        server.post("/embed", &inputs),
        server.predict("가", "나"),
        server.post("/v1/embeddings", &serde_json::json!({"input": "가 나 다 라"})),
    ] {
        assert_eq!(answer.status, 429, "{}", answer.text);
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    assert_eq!(first.join().unwrap().status, 200);
    drop(connection);
    wait_until("the file is dropped", || server.metric("te_queue_size") == 0.0);
    is_well(&server);
}

#[test]
fn idle_connections_do_not_keep_others_out() {
    let server = Server::start(&["--header-timeout", "2"]);
    let mut idle: Vec<_> = (0..300).map(|_| server.connect()).collect();
    is_well(&server);
    for connection in &mut idle {
        let mut first = [0];
        match connection.read(&mut first) {
            Ok(0) => {}
            Ok(_) => assert_eq!(first[0], b'H', "an answer that says why"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "still open: {error}"),
        }
    }
    is_well(&server);
}

/// What must not be found in the log.
const SECRET: &str = "비밀스러운문장SECRET";

#[test]
fn the_log_has_no_text_of_clients_and_errors_quote_little_of_it() {
    let server = Server::start(&["--max-client-batch-size", "1", "--log-level", "debug"]);
    let (secret, plain) = (SECRET.repeat(30), "SECRET".repeat(50));
    let file = format!("열1,{secret}\n\"{secret}\",1,2\n");
    let answers = [
        server.predict(&secret, ""),
        server.get(&format!("/{plain}")),
        server.get(&format!("/predict?{plain}=1")),
        server.get(&format!("/predict?sentence1={plain}&sentence1={plain}")),
        server.post("/embed", &json!({"inputs": "가", "truncate": secret})),
        server.post("/embed", &json!({"inputs": [secret, secret]})),
        server.post("/embed", &json!({"inputs": "가", "prompt_name": secret})),
        server.post("/embed", &json!({"inputs": format!("{SECRET} ").repeat(60), "truncate": false})),
        server.post_bytes("/embed", "application/json", secret.as_bytes()),
        server.post_bytes("/embed", &format!("text/{plain}"), secret.as_bytes()),
        server.post("/v1/embeddings", &json!({"input": "가", "encoding_format": secret})),
        server.rank(file.as_bytes(), &[("base_sentence", &secret), ("column", "9")]),
        server.rank("가\n".as_bytes(), &[("base_sentence", &secret), ("column", &secret)]),
        server.rank("가\n".as_bytes(), &[("base_sentence", &secret), ("sheet", &secret)]),
        server.rank("가\n".as_bytes(), &[("base_sentence", &secret), ("top_k", &secret)]),
        server.rank("가\n".as_bytes(), &[("base_sentence", &secret), (&plain, "1")]),
    ];
    for (number, answer) in answers.iter().enumerate() {
        assert!(answer.status >= 400, "{number}: {}", answer.status);
        let body: Value = serde_json::from_str(&answer.text).unwrap();
        let error = body["error"].as_str().or(body["error"]["message"].as_str()).unwrap();
        let quoted = error.matches("SECRET").count();
        // Two values of 40 characters.
        assert!(quoted <= 14, "{number}: {quoted} times in {error}");
    }
    let raw =
        format!("{plain} /{plain} HTTP/1.1\r\nHost: {plain}\r\nX-Request-Id: {SECRET}\r\nConnection: close\r\n\r\n");
    server.raw(raw.as_bytes());
    assert_eq!(server.predict(SECRET, "가").status, 200);
    let log = server.log();
    assert!(log.len() > answers.len(), "{log:?}");
    let found: Vec<&String> = log.iter().filter(|line| line.contains("SECRET") || line.contains("비밀")).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(log.iter().any(|line| line.contains("error=\"invalid\"") && line.contains("status=422")), "{log:?}");
}

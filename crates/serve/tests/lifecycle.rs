//! How a server starts, refuses to start, tells of itself, and ends.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{Answer, FORM, Server, agent, command, form, model, sentences, wait_until};
use serde_json::Value;

/// What a server that does not start says, which is one line, and its status.
fn refusal(arguments: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serve"));
    let output = command.args(arguments).stdout(Stdio::null()).env_remove("KO_STS_API_KEYS").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    (text.trim_end().to_owned(), output.status.code())
}

#[test]
fn a_server_whose_log_nobody_reads_goes_on() {
    // On a port of its own, since it cannot tell which the system gave it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut command = command(&["--port", &port, "--log-level", "debug", "--model"]);
    let mut child = command.arg(model()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let url = format!("http://127.0.0.1:{port}/health");
    let mut has_ended = false;
    wait_until("an answer, or the end", || {
        has_ended = child.try_wait().unwrap().is_some();
        has_ended || agent().get(&url).call().is_ok_and(|answer| answer.status() == 200)
    });
    let _ = child.kill();
    child.wait().unwrap();
    assert!(!has_ended);
}

#[test]
fn what_keeps_a_server_from_starting_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let model = model();
    let model = model.to_str().unwrap();
    let (empty, spaced) = (path("empty", "# no key\n"), path("spaced", "key-one\nkey two\n"));
    let (unknown, typed) =
        (path("a.toml", "[http]\nporte = 1\n"), path("b.toml", "[log]\nlevel = \"info\"\nformat = 3\n"));
    let no_certificate = path("server.crt", "nothing\n");
    let broken = folder.path().join("model");
    fs::create_dir(&broken).unwrap();
    for (arguments, expected) in [
        (
            vec!["--model", model, "--port", &port],
            format!("error: cannot listen on 127.0.0.1:{port}: Address already in use (os error 98)"),
        ),
        (
            vec!["--model", model, "--api-key-file", &empty],
            format!("error: {empty}: no API key in it, expected one a line"),
        ),
        (
            vec!["--model", model, "--api-key-file", &spaced],
            format!("error: {spaced}: line 2: an API key with characters other than visible ASCII"),
        ),
        (
            vec!["--model", model, "--api-key-file", "/nowhere"],
            "error: /nowhere: No such file or directory (os error 2)".to_owned(),
        ),
        (
            vec!["--config", &unknown],
            format!(
                "error: {unknown}: line 2: unknown field `porte`, expected one of `address`, `port`, `workers`, `max_connections`"
            ),
        ),
        (vec!["--config", &typed], format!("error: {typed}: line 3: wanted string or table")),
        (vec!["--device", "gpu"], "error: device is \"gpu\": expected auto, cpu or cuda:N".to_owned()),
        (
            vec!["--max-batch-tokens", "0"],
            "error: engine.max_batch_tokens is 0, expected 1 or more, and 1099511627776 at most".to_owned(),
        ),
        (
            vec!["--max-csv-jobs", "2305843009213693952"],
            "error: limits.max_csv_jobs is 2305843009213693952, expected 1 or more, and 1099511627776 at most"
                .to_owned(),
        ),
        (
            vec!["--request-timeout", "0"],
            "error: timeouts.request_timeout is 0, expected seconds from 0.001 to 10000000".to_owned(),
        ),
        (
            vec!["--cors-origin", "a.example"],
            "error: access.cors_origins has \"a.example\", expected one like https://example.org, or *".to_owned(),
        ),
        (vec!["--tls-key", "x"], "error: tls.key is set, and tls.certificate is not".to_owned()),
        (
            vec!["--port", "0", "--model", model, "--tls-certificate", &no_certificate, "--tls-key", "x"],
            format!("error: {no_certificate}: expected certificates in PEM"),
        ),
    ] {
        let (line, status) = refusal(&arguments);
        assert_eq!((line, status), (expected, Some(1)));
    }
    let (line, status) = refusal(&["--port", "0", "--model", broken.to_str().unwrap()]);
    assert_eq!(line, format!("error: {}/config.json: No such file or directory (os error 2)", broken.display()));
    assert_eq!(status, Some(1));
}

#[test]
fn the_default_model_that_is_missing_is_said_with_how_to_make_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(&["--port", "0"]).current_dir(&folder).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    let expected = "error: checkpoints/ko-sts-small: no such directory: it comes with the project, so run from its root, or \
                    name a model by --model\n";
    assert_eq!((line.as_str(), output.status.code()), (expected, Some(1)));
}

#[test]
fn flags_win_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("serve.toml");
    let text = "max_seq_length = 10\n[limits]\nmax_client_batch_size = 5\nmax_csv_rows = 7\n[http]\nport = 1\n";
    fs::write(&file, text).unwrap();
    let server = Server::start(&["--config", file.to_str().unwrap(), "--max-client-batch-size", "6"]);
    let info = server.get("/info").json();
    let numbers = ["max_input_length", "max_client_batch_size", "max_csv_rows"].map(|key| info[key].as_u64().unwrap());
    assert_eq!(numbers, [10, 6, 7]);
}

#[test]
fn the_configuration_that_ships_holds_the_defaults() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/serve.toml");
    let (with, without) = (Server::start(&["--config", file]), Server::start(&[]));
    assert_eq!(with.get("/info").json(), without.get("/info").json());
}

#[test]
fn sigterm_finishes_the_work_in_hand_and_refuses_more() {
    let mut server = Server::start(&["--max-batch-tokens", "24", "--cache-mib", "0"]);
    let rows = sentences(20_000);
    let url = server.url("/predict");
    let upload = thread::spawn(move || {
        let body = form(rows.join("\n").as_bytes(), &[("base_sentence", "비가 온다.")]);
        Answer::new(agent().post(url).header("Content-Type", FORM).send(&body[..]).unwrap())
    });
    wait_until("the file is in work", || server.metric("te_batch_next_size_sum") > 10.0);
    server.signal("TERM");
    wait_until("/health turns", || server.get("/health").status == 503);
    let refused = server.predict("가", "나");
    assert_eq!(refused.error(503), "the server is shutting down");
    assert_eq!(refused.header("connection"), "close");
    assert!(!upload.is_finished(), "the file was too short for this test");
    assert_eq!(upload.join().unwrap().json().as_object().unwrap().len(), 20_000);
    assert_eq!(server.status(), Some(0));
}

#[test]
fn an_answer_that_a_slow_client_is_still_taking_is_sent_to_its_end() {
    let mut server = Server::start(&[]);
    let file = "비가 온다.\n눈이 온다.\n".repeat(500_000);
    let body = form(file.as_bytes(), &[("base_sentence", "비가 온다."), ("has_header", "false")]);
    let mut connection = server.connect();
    let head =
        format!("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&body).unwrap();
    let mut answer = vec![0; 1 << 10];
    connection.read_exact(&mut answer).unwrap(); // of some 14 MB, more than a connection holds on its way
    server.signal("TERM");
    wait_until("/health turns", || server.get("/health").status == 503);
    thread::sleep(Duration::from_secs(1));
    assert!(server.child.try_wait().unwrap().is_none(), "the server ended with an answer half sent");
    connection.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8(answer).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains("\"999999\":"), "{} bytes", text.len());
    assert_eq!(server.status(), Some(0));
}

#[test]
fn work_that_outlasts_the_grace_time_does_not_keep_the_server() {
    let mut server = Server::start(&["--max-batch-tokens", "24", "--cache-mib", "0", "--grace", "0.2"]);
    let rows = sentences(200_000);
    let (url, begun) = (server.url("/predict"), Instant::now());
    thread::spawn(move || {
        let body = form(rows.join("\n").as_bytes(), &[("base_sentence", "비가 온다.")]);
        let _ = agent().post(url).header("Content-Type", FORM).send(&body[..]);
    });
    wait_until("the file is in work", || server.metric("te_batch_next_size_sum") > 10.0);
    server.signal("TERM");
    assert_eq!(server.status(), Some(0));
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
}

#[test]
fn an_idle_connection_does_not_keep_the_server() {
    let mut server = Server::start(&[]);
    let _idle = server.connect();
    let begun = Instant::now();
    server.signal("INT");
    assert_eq!(server.status(), Some(0));
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

#[test]
fn each_request_has_an_id_and_its_times_in_headers_and_log() {
    let server = Server::start(&["--log-format", "json"]);
    let ask = |id: &str| {
        let request = agent().get(server.url("/predict?sentence1=a&sentence2=b")).header("X-Request-Id", id);
        Answer::new(request.call().unwrap())
    };
    assert_eq!(ask("from-the-client.7").header("x-request-id"), "from-the-client.7");
    assert_eq!(ask("not fit for a log \"").header("x-request-id").len(), 16);
    for name in ["x-queue-time", "x-tokenization-time", "x-inference-time", "x-total-time"] {
        assert!(ask("a").header(name).parse::<f64>().unwrap() >= 0.0, "{name}");
    }
    let line = || server.log().into_iter().find(|line| line.contains("from-the-client.7"));
    wait_until("the log line", || line().is_some());
    let line: Value = serde_json::from_str(&line().unwrap()).unwrap();
    assert_eq!(
        (line["status"].as_u64(), line["method"].as_str(), line["path"].as_str()),
        (Some(200), Some("GET"), Some("/predict"))
    );
    for key in ["total_ms", "queue_ms", "tokenization_ms", "inference_ms"] {
        assert!(line[key].as_f64().unwrap() >= 0.0, "{line}");
    }
}

#[test]
fn metrics_count_requests_by_route_and_status() {
    let server = Server::start(&[]);
    server.predict("가", "나");
    server.predict("가", "");
    server.get("/nowhere/1");
    server.get("/nowhere/2");
    let count = |method, route, status| {
        server.metric(&format!("te_request_count{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"))
    };
    assert_eq!(count("GET", "/predict", 200), 1.0);
    assert_eq!(count("GET", "/predict", 400), 1.0);
    assert_eq!(count("GET", "none", 404), 2.0);
    for name in [
        "te_request_duration_count{route=\"/predict\"}",
        "te_batch_next_tokens_count",
        "te_request_queue_duration_count",
    ] {
        assert!(server.metric(name) >= 1.0, "{name}");
    }
    assert!(server.get("/metrics").header("content-type").starts_with("text/plain; version=0.0.4"));
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    for (name, number) in [("TERM", 15), ("INT", 2)] {
        let mut server = Server::start(&["--grace", "60", "--body-timeout", "60"]);
        let mut waiting = server.connect();
        let head =
            "POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
        waiting.write_all(head.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(200));
        server.signal(name);
        thread::sleep(Duration::from_millis(300));
        assert!(server.child.try_wait().unwrap().is_none(), "it waits for what is in hand");
        let asked = Instant::now();
        server.signal(name);
        wait_until("the server ends", || server.child.try_wait().unwrap().is_some());
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        let status = server.child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(number));
    }
}

#[test]
fn a_limit_of_nothing_is_refused() {
    for (flag, key) in [
        ("--max-csv-rows", "limits.max_csv_rows"),
        ("--max-csv-bytes", "limits.max_csv_bytes"),
        ("--max-csv-jobs", "limits.max_csv_jobs"),
        ("--max-body-bytes", "limits.max_body_bytes"),
        ("--max-client-batch-size", "limits.max_client_batch_size"),
        ("--max-concurrent-requests", "limits.max_concurrent_requests"),
        ("--max-memory-mib", "limits.max_memory_mib"),
        ("--max-connections", "http.max_connections"),
        ("--workers", "http.workers"),
        ("--stuck-after", "timeouts.stuck_after"),
        ("--write-timeout", "timeouts.write_timeout"),
    ] {
        let (text, status) = refusal(&[flag, "0"]);
        assert!(text.contains(&format!("{key} is 0, expected")), "{flag}: {text}");
        assert_eq!(status, Some(1), "{flag}");
    }
}

//! What a server holds at a time, from the first byte of a request to the last of its answer.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use common::{Answer, FORM, Server, agent, form, wait_until};
use serde_json::{Value, json};

/// The beginning of a request whose body of `length` bytes is to follow.
fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// A request of which the server has the beginning, and waits for the rest.
fn hanging(server: &Server, length: usize) -> TcpStream {
    let mut connection = server.connect();
    connection.write_all(format!("{}{{", head("/embed", length)).as_bytes()).unwrap();
    connection
}

#[test]
fn requests_beyond_the_servers_number_are_refused_before_their_bodies_and_the_rest_find_room_again() {
    let server = Server::start(&["--max-concurrent-requests", "2"]);
    assert_eq!(server.get("/info").json()["max_concurrent_requests"], 2);
    let mut waiting: Vec<TcpStream> = (0..2).map(|_| hanging(&server, 16)).collect();
    wait_until("both places are taken", || server.predict("가", "나").status == 429);
    let refused = server.predict("가", "나");
    assert!(refused.error(429).contains("as many requests in hand as it takes"), "{}", refused.text);
    assert_eq!(refused.header("retry-after"), "1");
    for path in ["/health", "/info", "/metrics", "/app.js"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    waiting[0].write_all(b"\"inputs\": \"a\"} ").unwrap();
    wait_until("one is answered", || server.predict("가", "나").status == 200);
    drop(waiting);
    wait_until("the other is gone", || {
        let both: Vec<TcpStream> = (0..1).map(|_| hanging(&server, 16)).collect();
        thread::sleep(Duration::from_millis(50));
        let status = server.predict("가", "나").status;
        drop(both);
        status == 200
    });
}

#[test]
fn pairs_find_a_place_whatever_is_uploaded() {
    let server = Server::start(&["--max-concurrent-requests", "4"]);
    let large: Vec<TcpStream> = (0..8).map(|_| hanging(&server, 1 << 20)).collect();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(server.predict("가", "나").status, 200);
    assert_eq!(server.post("/embed", &json!({"inputs": "가"})).status, 200);
    drop(large);
}

#[test]
fn bodies_together_stay_within_the_servers_memory() {
    let server = Server::start(&["--max-memory-mib", "2"]);
    // Of two mebibytes an eighth is for small ones; a body takes twice its bytes.
    let body = |bytes: usize| json!({"inputs": "a ".repeat(bytes / 2)});
    assert_eq!(server.post("/embed", &body(700 << 10)).status, 200);
    server.post("/embed", &body(1 << 20)).error(429);
    assert_eq!(server.post("/embed", &body(700 << 10)).status, 200, "what a refused one had is free again");
    assert_eq!(server.predict("가", "나").status, 200);
}

/// A file whose answer is larger than what the system keeps for a connection.
fn long_file() -> Vec<u8> {
    let lines: String = (0..900_000).map(|row| format!("문장 {}\n", row % 7)).collect();
    form(lines.as_bytes(), &[("base_sentence", "문장 3"), ("column", "0"), ("has_header", "false")])
}

#[test]
fn an_answer_that_nobody_reads_is_given_up_with_its_place() {
    let server = Server::start(&["--write-timeout", "1", "--max-csv-jobs", "1", "--csv-timeout", "60"]);
    let body = long_file();
    let mut idle = server.connect();
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    idle.write_all(head.as_bytes()).unwrap();
    idle.write_all(&body).unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    // The file is done, and its place is taken for as long as its answer is.
    let small = || server.rank("나\n".as_bytes(), &[("base_sentence", "가")]).status;
    assert_eq!(small(), 429);
    wait_until("the connection is given up", || small() == 200);
    let mut rest = Vec::new();
    let end = idle.read_to_end(&mut rest);
    assert!(end.is_err() || rest.len() < 10_000_000, "{} bytes came after all", rest.len());
}

#[test]
fn an_answer_of_many_rows_is_written_as_it_is_read_and_whole() {
    let server = Server::start(&[]);
    let scores =
        Answer::new(agent().post(server.url("/predict")).header("Content-Type", FORM).send(long_file()).unwrap());
    assert_eq!((scores.header("transfer-encoding"), scores.header("content-type")), ("chunked", "application/json"));
    let scores = scores.json();
    assert_eq!(scores.as_object().unwrap().len(), 900_000);
    let rows: Vec<String> = (0..20_000).map(|row| format!("{row}번 \"문장\" {}", row % 11)).collect();
    let fields = [("base_sentence", "3번 문장"), ("has_header", "false"), ("column", "0")];
    let file = rows.iter().map(|row| format!("\"{}\"\n", row.replace('"', "\"\""))).collect::<String>();
    let scores = server.rank(file.as_bytes(), &fields).json();
    let best = server.rank(file.as_bytes(), &[&fields[..], &[("top_k", "10000000")]].concat()).json();
    let best = best["results"].as_array().unwrap();
    assert_eq!(best.len(), rows.len());
    let score = |row: &Value| row["score"].as_f64().unwrap();
    assert!(best.windows(2).all(|pair| score(&pair[0]) >= score(&pair[1])), "best first");
    for row in best {
        let index = row["index"].as_u64().unwrap() as usize;
        assert_eq!(
            (row["sentence"].as_str().unwrap(), &row["score"]),
            (rows[index].as_str(), &scores[index.to_string()])
        );
    }
}

#[test]
fn a_refused_body_without_an_end_is_cut_off() {
    let server = Server::start(&["--max-body-bytes", "1000"]);
    for (path, kind, status) in [
        ("/nowhere", "application/json", "404"),
        ("/embed", "text/plain", "415"),
        ("/embed", "application/json", "413"),
    ] {
        let mut connection = server.connect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).unwrap();
        let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
        let (started, mut sent) = (Instant::now(), 0usize);
        while connection.write_all(chunk.as_bytes()).is_ok() {
            sent += chunk.len();
            assert!(started.elapsed() < Duration::from_secs(15), "{path}: still read after {sent} bytes");
            thread::sleep(Duration::from_millis(1));
        }
        let mut answer = [0; 12];
        if connection.read_exact(&mut answer).is_ok() {
            assert_eq!(&answer[9..], status.as_bytes(), "{path}");
        }
    }
}

#[test]
fn a_file_that_trickles_in_keeps_nobodys_place() {
    let server = Server::start(&["--upload-timeout", "300"]);
    let mut connection = server.connect();
    let body = form("가\n".repeat(1000).as_bytes(), &[("base_sentence", "가")]);
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    let started = Instant::now();
    for byte in body.chunks(1) {
        if connection.write_all(byte).is_err() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(25), "it may still go on");
        thread::sleep(Duration::from_millis(50));
    }
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let reason = server.log().into_iter().find(|line| line.contains("status=408"));
    assert!(reason.is_some_and(|line| line.contains("too slow")), "{:?}", server.log());
}

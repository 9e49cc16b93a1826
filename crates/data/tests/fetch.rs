//! Downloads, against a small server on loopback.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::{data, files, stderr, stdout};
use data::{Fetcher, Outcome, SOURCES, Source};

/// What the server does with each request; it is given the requested path.
type Answer = dyn Fn(&str, &mut TcpStream) + Send + Sync;

struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

/// Serves until the test's process ends.
fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let (counter, answer): (_, Arc<Answer>) = (requests.clone(), Arc::new(answer));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            counter.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                lines.find(|line| line.is_empty());
                answer(request.split(' ').nth(1).unwrap_or_default(), &mut stream);
            });
        }
    });
    Server { url, requests }
}

fn send(stream: &mut TcpStream, status: &str, length: usize, body: &[u8]) {
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(body);
}

const BODY: &[u8] = "sentence1\tsentence2\n가\t나\n".as_bytes();

/// sha256 by: printf 'sentence1\tsentence2\n가\t나\n' | sha256sum
const SOURCE: Source = Source {
    dataset: "test",
    file: "test/pairs.tsv",
    address: "owner/repository/pairs.tsv",
    sha256: "152f2c0d349ab4db32fc09a4c9b2ba25ae0f48e65124b29449651979cb381230",
    bytes: BODY.len() as u64,
};

fn good() -> Server {
    serve(|path, stream| match path {
        "/owner/repository/pairs.tsv" => send(stream, "200 OK", BODY.len(), BODY),
        _ => send(stream, "404 Not Found", 0, b""),
    })
}

#[test]
fn a_fetched_file_is_whole_and_a_second_run_keeps_it() {
    let (server, folder) = (good(), tempfile::tempdir().unwrap());
    let fetcher = Fetcher::new(folder.path(), Some(&format!("{}/", server.url)), false);
    let mut received = Vec::new();
    assert_eq!(fetcher.fetch(&SOURCE, |bytes| received.push(bytes)).unwrap(), Outcome::Fetched);
    assert_eq!(received.last(), Some(&SOURCE.bytes));
    assert_eq!(fs::read(folder.path().join("test/pairs.tsv")).unwrap(), BODY);
    assert_eq!(files(folder.path()), ["pairs.tsv"]);
    assert_eq!(fetcher.fetch(&SOURCE, |_| ()).unwrap(), Outcome::Kept);
    assert_eq!(server.requests.load(Ordering::SeqCst), 1);
}

#[test]
fn a_file_with_other_content_is_replaced_only_on_demand() {
    let (server, folder) = (good(), tempfile::tempdir().unwrap());
    let path = folder.path().join("test/pairs.tsv");
    fs::create_dir(folder.path().join("test")).unwrap();
    fs::write(&path, "mine").unwrap();
    let error = Fetcher::new(folder.path(), Some(&server.url), false).fetch(&SOURCE, |_| ()).unwrap_err();
    assert!(error.to_string().contains("pass --overwrite"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    assert_eq!(Fetcher::new(folder.path(), Some(&server.url), true).fetch(&SOURCE, |_| ()).unwrap(), Outcome::Fetched);
    assert_eq!(fs::read(&path).unwrap(), BODY);
}

/// Fetches from a server that fails, and returns the message; nothing may be left behind.
fn failure(url: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let fetcher = Fetcher::with_stall(folder.path(), Some(url), false, Duration::from_millis(300));
    let message = fetcher.fetch(&SOURCE, |_| ()).unwrap_err().to_string();
    assert!(files(folder.path()).is_empty(), "{message}: {:?}", files(folder.path()));
    assert!(!message.contains('\n') && message.contains(&format!("{url}/owner/repository/pairs.tsv")), "{message}");
    message
}

#[test]
fn each_failure_says_what_happened_and_leaves_nothing() {
    for (answer, part) in [
        (Box::new(|_: &str, s: &mut TcpStream| send(s, "404 Not Found", 0, b"")) as Box<Answer>, "HTTP status 404"),
        (Box::new(|_, s| send(s, "503 Service Unavailable", 0, b"")), "HTTP status 503"),
        (Box::new(|_, s| send(s, "200 OK", BODY.len(), &[b'x'; BODY.len()])), "its sha256 is"),
        (Box::new(|_, s| send(s, "200 OK", 5, &BODY[..5])), "the file ended after 5 of 28 bytes"),
        (Box::new(|_, s| send(s, "200 OK", 100_000, &[b'x'; 100_000])), "longer than the 28 bytes"),
        (Box::new(|_, s| send(s, "200 OK", BODY.len(), &BODY[..9])), "the connection broke after 9 of 28 bytes"),
        (Box::new(|_, _| ()), "no connection"),
    ] {
        let message = failure(&serve(answer).url);
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
}

#[test]
fn a_silent_server_is_given_up() {
    let server = serve(|_, stream| {
        send(stream, "200 OK", BODY.len(), &BODY[..9]);
        thread::sleep(Duration::from_secs(20));
    });
    let message = failure(&server.url);
    assert!(message.contains("no data came for 0.3 seconds after 9 of 28 bytes; run the command again"), "{message}");
    let server = serve(|_, _| thread::sleep(Duration::from_secs(20)));
    assert!(failure(&server.url).contains("did not answer in time"));
}

#[test]
fn without_a_network_the_message_says_what_to_check() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(failure(&url).contains("check the network"));
    assert!(failure("http://no-such-host.invalid").contains("check the network"));
    assert!(failure("no address").contains("this is not an address"));
}

fn fetch(folder: &Path, arguments: &[&str]) -> std::process::Output {
    data(folder, &[&["fetch", "--data-dir", "there"], arguments].concat())
}

#[test]
fn the_command_reports_a_failure_in_one_line_and_leaves_no_file() {
    let (server, folder) = (good(), tempfile::tempdir().unwrap());
    let output = fetch(folder.path(), &["kor-sts", "--mirror", &server.url]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()));
    let stderr = stderr(&output);
    assert!(stderr.starts_with("error: cannot fetch http://127.0.0.1") && stderr.lines().count() == 1, "{stderr}");
    assert!(stderr.contains("/KorSTS/sts-train.tsv: the server answered with HTTP status 404; try again"), "{stderr}");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn the_command_fetches_all_or_the_named_and_keeps_what_is_there() {
    let Some(real) = common::real_data() else { return };
    let server = serve(move |path, stream| {
        let source = SOURCES.iter().find(|source| path == format!("/{}", source.address)).unwrap();
        let body = fs::read(real.join(source.file)).unwrap();
        send(stream, "200 OK", body.len(), &body);
    });
    let folder = tempfile::tempdir().unwrap();
    let output = fetch(folder.path(), &["klue-sts", "--mirror", &server.url]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(files(folder.path()), ["klue-sts-v1.1_dev.json", "klue-sts-v1.1_train.csv"]);
    let output = fetch(folder.path(), &["--mirror", &server.url]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(files(folder.path()).len(), 5);
    assert_eq!((stdout(&output).matches("already there").count(), stdout(&output).matches("fetched").count()), (2, 3));
    assert_eq!(server.requests.load(Ordering::SeqCst), 5);
    assert!(data(folder.path(), &["stats", "kor-sts:dev", "--data-dir", "there"]).status.success());
}

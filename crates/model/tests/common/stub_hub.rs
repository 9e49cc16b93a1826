//! A stub of the Hugging Face hub: the listing of a model, its files behind redirects, and the faults of a network.
//!
//! It answers as the hub does to `huggingface_hub` 1.x and `hf-hub` 0.5: a small file comes from the hub itself after a
//! relative redirect, a large one from another host, with its true size and sha256 in the redirect's headers.
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::common::fixture;

/// The commit of `main` and `v1.0` of `team/tiny`, the only model here.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Files of this size and more are stored as the hub stores weights.
const LARGE: usize = 20_000;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    None,
    /// The other host breaks off after so many bytes of a file's body.
    Cut(usize),
    /// It falls silent after so many bytes.
    Silent(usize),
    /// It has lost the end of the file, so many bytes, and knows nothing of it.
    Short(usize),
    /// It has the file with one bit changed.
    Flipped,
    /// It sends the file from the start, whatever part is asked for.
    NoRange,
    /// The hub answers any question with this status and code.
    Status(u16, &'static str),
    /// The files want a token, the listing does not.
    Gated,
    /// Something else answers in the hub's place.
    NoJson,
    /// A mirror whose listing has only names.
    Names,
    /// The same, and the other host has a file with one bit changed.
    NamesAndFlipped,
    /// A mirror that lists names, under a name of its own for the state of the model, and nothing of a commit in the files' headers.
    OwnCommit,
    /// The same without any name for the state.
    NoCommit,
    /// A mirror that has files and no listing.
    NoListing,
    /// A mirror that lists names and takes no questions about a file.
    NoHead,
    /// A mirror that lists names and has no entity tags.
    NoTags,
    /// A mirror that compresses what it sends itself, whatever was asked for.
    Gzip,
    /// A mirror that sends every request on to another host.
    Moved,
    /// A file is listed and not there.
    Lost(&'static str),
    /// Once, after a while, the other host breaks off after so many bytes of a file's body.
    CutOnce(usize),
    /// Once, after a while, it has the file with one bit changed.
    FlippedOnce,
}

impl Fault {
    fn lists_names(self) -> bool {
        matches!(
            self,
            Self::Names | Self::NamesAndFlipped | Self::OwnCommit | Self::NoCommit | Self::NoHead | Self::NoTags
        )
    }

    fn hides_commit(self) -> bool {
        matches!(self, Self::OwnCommit | Self::NoTags)
    }
}

struct State {
    commit: String,
    files: BTreeMap<String, Vec<u8>>,
    fault: Fault,
    requests: Vec<String>, // method, path, range and authorization
    cdn: String,
}

/// The stub; it serves until the test's process ends.
pub(crate) struct Stub {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Stub {
    /// A hub that has the files of a fixture.
    pub(crate) fn new(name: &str) -> Self {
        let (hub, cdn) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.2:0").unwrap());
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let mut files = BTreeMap::new();
        read(&fixture(name), "", &mut files);
        let (commit, cdn_url) = (COMMIT.to_owned(), url(&cdn));
        let state = State { commit, files, fault: Fault::None, requests: Vec::new(), cdn: cdn_url };
        let stub = Self { url: url(&hub), state: Arc::new(Mutex::new(state)) };
        for listener in [hub, cdn] {
            let state = stub.state.clone();
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let state = state.clone();
                    thread::spawn(move || answer(&state, &mut stream.unwrap()));
                }
            });
        }
        stub
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.state.lock().unwrap().fault = fault;
    }

    pub(crate) fn add(&self, name: &str, body: &[u8]) {
        self.state.lock().unwrap().files.insert(name.to_owned(), body.to_owned());
    }

    pub(crate) fn remove(&self, name: &str) {
        self.state.lock().unwrap().files.remove(name).unwrap();
    }

    /// Moves `main` to a new commit, and returns it.
    pub(crate) fn commit(&self) -> String {
        let commit = COMMIT.replace("0", "f");
        self.state.lock().unwrap().commit.clone_from(&commit);
        commit
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }
}

fn read(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            read(&path, &format!("{name}/"), files);
        } else {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of a file's content: its sha256 where it is large, else 40 digits (git's sha1 on the real hub).
fn etag(body: &[u8]) -> String {
    let digits = sha256(body);
    if body.len() < LARGE { digits[..40].to_owned() } else { digits }
}

/// A gzip file whose blocks are stored as they are (RFC 1951, 3.2.4, and RFC 1952).
fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let blocks = body.chunks(0xffff).count();
    for (index, block) in body.chunks(0xffff).enumerate() {
        let size = block.len() as u16;
        packed.push(u8::from(index + 1 == blocks));
        packed.extend([size.to_le_bytes(), (!size).to_le_bytes()].concat());
        packed.extend(block);
    }
    let crc = body.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1)))
    });
    packed.extend([(!crc).to_le_bytes(), (body.len() as u32).to_le_bytes()].concat());
    packed
}

/// What goes back, before a body is sent or not.
struct Answer {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
}

fn plain(status: u16, headers: &[String], body: &[u8]) -> Answer {
    Answer { status, headers: headers.to_vec(), body: body.to_owned() }
}

fn listing(value: &Value) -> Answer {
    plain(200, &["Content-Type: application/json".to_owned()], value.to_string().as_bytes())
}

fn answer(state: &Mutex<State>, stream: &mut TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let header = |name: &str| {
        let line =
            headers.iter().find_map(|line| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name)));
        line.map(|(_, value)| value.trim())
    };
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (range, token) = (header("range"), header("authorization"));
    let (answer, fault) = {
        let mut state = state.lock().unwrap();
        let said = [Some(method), Some(path), range, token].into_iter().flatten().collect::<Vec<_>>().join(" ");
        state.requests.push(said);
        let is_elsewhere = header("host").is_some_and(|host| state.cdn.ends_with(host));
        let answer = match state.fault {
            Fault::Moved if !is_elsewhere => plain(308, &[format!("Location: {}{path}", state.cdn)], b""),
            Fault::NoHead if method == "HEAD" => plain(405, &[], b""),
            _ => route(&state, path, token),
        };
        let fault = state.fault;
        if path.starts_with("/cdn/") && matches!(fault, Fault::CutOnce(_) | Fault::FlippedOnce) {
            state.fault = Fault::None;
        }
        (answer, fault)
    };
    if path.starts_with("/cdn/") && matches!(fault, Fault::CutOnce(_) | Fault::FlippedOnce) {
        thread::sleep(Duration::from_millis(800));
    }
    let Answer { mut status, mut headers, mut body } = answer;
    if fault == Fault::Gzip && status == 200 && !path.starts_with("/cdn/") {
        body = gzip(&body);
        headers.push("Content-Encoding: gzip".to_owned());
    }
    let total = body.len();
    let is_cdn = path.starts_with("/cdn/");
    let range = range.filter(|_| status == 200 && !(is_cdn && fault == Fault::NoRange));
    let (mut first, mut end) = (0, total);
    if let Some(range) = range {
        let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        first = from.parse().unwrap();
        end = to.parse().map_or(total, |last: usize| total.min(last + 1));
        status = if first < end { 206 } else { 416 };
        headers.push(format!("Content-Range: bytes {first}-{}/{total}", end.saturating_sub(1)));
    }
    let body = body.get(first..end).unwrap_or_default();
    let _ = write!(stream, "HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for header in &headers {
        let _ = write!(stream, "{header}\r\n");
    }
    let _ = write!(stream, "\r\n");
    let sent = match fault {
        Fault::Cut(bytes) | Fault::CutOnce(bytes) | Fault::Silent(bytes) if is_cdn => bytes.min(body.len()),
        _ => body.len(),
    };
    if method != "HEAD" {
        let _ = stream.write_all(&body[..sent]);
    }
    if sent < body.len() && matches!(fault, Fault::Silent(_)) {
        thread::sleep(Duration::from_secs(20));
    }
}

/// The headers that a mirror gives on.
fn shown(fault: Fault, headers: impl IntoIterator<Item = String>) -> Vec<String> {
    let is_shown = |header: &String| {
        let (is_tag, is_commit) =
            (header.contains("ETag:") || header.contains("X-Linked"), header.contains("X-Repo-Commit"));
        !(fault == Fault::NoTags && is_tag || fault.hides_commit() && is_commit)
    };
    headers.into_iter().filter(is_shown).collect()
}

fn route(state: &State, path: &str, token: Option<&str>) -> Answer {
    let code = |code: &str| format!("X-Error-Code: {code}");
    if let Some(digest) = path.strip_prefix("/cdn/") {
        let mut body = state.files.values().find(|body| etag(body) == digest).unwrap().clone();
        match state.fault {
            Fault::Short(bytes) => body.truncate(body.len() - bytes),
            Fault::Flipped | Fault::FlippedOnce | Fault::NamesAndFlipped => body[100] ^= 1,
            _ => {}
        }
        return plain(200, &[], &body);
    }
    match state.fault {
        Fault::Status(status, error) => return plain(status, &[code(error)], b""),
        Fault::NoJson => return plain(200, &[], b"<html>please log in</html>"),
        Fault::NoListing if path.starts_with("/api/models/") => return plain(404, &[], b"no such page"),
        Fault::Lost(name) if path.ends_with(name) => return plain(404, &[code("EntryNotFound")], b""),
        Fault::Gated if !path.starts_with("/api/models/") => return plain(401, &[code("GatedRepo")], b""),
        _ => {}
    }
    if token.is_some_and(|token| token != "Bearer hf_good") {
        return plain(401, &["X-Error-Message: Invalid credentials in Authorization header".to_owned()], b"");
    }
    let path = path.split('?').next().unwrap();
    let known = |revision: &str| revision == state.commit || ["main", "v1.0"].contains(&revision);
    if let Some(revision) = path.strip_prefix("/api/models/team/tiny/revision/") {
        if !known(revision) {
            return plain(404, &[code("RevisionNotFound")], b"");
        }
        let siblings = state.files.iter().map(|(name, body)| {
            let lfs =
                (body.len() >= LARGE).then(|| json!({"sha256": etag(body), "size": body.len(), "pointerSize": 134}));
            match state.fault.lists_names() {
                true => json!({"rfilename": name}),
                false => json!({"rfilename": name, "size": body.len(), "blobId": &sha256(body)[..40], "lfs": lfs}),
            }
        });
        let siblings: Vec<_> = siblings.collect();
        let sha = match state.fault {
            Fault::OwnCommit => json!("2026-11-28.7"),
            Fault::NoCommit | Fault::NoTags => Value::Null,
            _ => json!(state.commit),
        };
        return listing(&json!({"id": "team/tiny", "sha": sha, "siblings": siblings}));
    }
    if path == format!("/api/models/team/tiny/tree/{}", state.commit) {
        let entries = state
            .files
            .iter()
            .map(|(name, body)| json!({"type": "file", "path": name, "size": body.len(), "oid": &sha256(body)[..40]}));
        return listing(&entries.collect());
    }
    if let Some(name) = path.strip_prefix(&format!("/api/resolve-cache/models/team/tiny/{}/", state.commit)) {
        let body = &state.files[name];
        let commit = format!("X-Repo-Commit: {}", state.commit);
        return plain(200, &shown(state.fault, [commit, format!("ETag: \"{}\"", etag(body))]), body);
    }
    if let Some((revision, name)) = path.strip_prefix("/team/tiny/resolve/").and_then(|rest| rest.split_once('/')) {
        let commit = format!("X-Repo-Commit: {}", state.commit);
        return match state.files.get(name) {
            _ if !known(revision) => plain(404, &[code("RevisionNotFound")], b""),
            None => plain(404, &[code("EntryNotFound"), commit], b""),
            Some(body) => {
                let (tag, size) = (etag(body), body.len());
                let linked = [format!("X-Linked-Etag: \"{tag}\""), format!("X-Linked-Size: {size}"), commit];
                let (status, location) = if size < LARGE {
                    (307, format!("Location: /api/resolve-cache/models/team/tiny/{}/{name}", state.commit))
                } else {
                    (302, format!("Location: {}/cdn/{tag}", state.cdn))
                };
                let headers = linked.into_iter().chain([location, format!("ETag: \"{tag}\"")]);
                plain(status, &shown(state.fault, headers), b"Redirecting")
            }
        };
    }
    // Whether a model is missing or private, the hub tells only to whoever shows a token.
    plain(if token.is_some() { 404 } else { 401 }, &[code("RepoNotFound")], b"")
}

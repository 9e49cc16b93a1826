//! Mirrors of the hub that tell less than it does, caches that cannot be written, and two commands at once.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;
#[allow(dead_code)] // each test binary uses a part
#[path = "common/stub_hub.rs"]
mod stub_hub;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use common::fixture;
use model::{
    Error, Options, SentenceEncoder,
    hub::{Event, Hub},
};
use stub_hub::{COMMIT, Fault, Stub};
use tempfile::TempDir;

fn hub(stub: &Stub) -> (Hub, TempDir) {
    let cache = tempfile::tempdir().unwrap();
    let patience = Duration::from_secs(5);
    let hub = Hub { endpoint: stub.url.clone(), cache: cache.path().to_owned(), token: None, offline: false, patience };
    (hub, cache)
}

fn resolve(hub: &Hub) -> Result<PathBuf, Error> {
    hub.resolve(Path::new("team/tiny"), &mut |_| ())
}

fn loads(dir: &Path) {
    let embedding =
        SentenceEncoder::load(dir, &Options::default()).unwrap().encode(&["비가 온다."]).unwrap().to_tensor();
    assert!(embedding.norm().double_value(&[]) > 0.0);
}

/// Every file and folder below a directory with its inode and the time of its last change.
fn tree(dir: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            found.extend(tree(&path));
        }
        found.insert(path, (about.ino(), about.modified().unwrap()));
    }
    found
}

#[test]
fn a_mirror_that_tells_little_is_enough() {
    for (fault, snapshot) in [
        (Fault::Names, COMMIT),
        (Fault::OwnCommit, "2026-11-28.7"),
        (Fault::NoCommit, COMMIT),
        (Fault::NoListing, COMMIT),
        (Fault::NoHead, COMMIT),
        (Fault::NoTags, "main"),
        (Fault::Gzip, COMMIT),
        (Fault::Moved, COMMIT),
    ] {
        for name in ["st-roberta-tiny-old", "bert-tiny", "bert-tiny-sharded"] {
            let stub = Stub::new(name);
            stub.set(fault);
            let (mut hub, cache) = hub(&stub);
            let dir = resolve(&hub).unwrap();
            assert_eq!(dir, cache.path().join("models--team--tiny/snapshots").join(snapshot), "{name}");
            for (path, _) in tree(&fixture(name)).into_iter().filter(|(path, _)| path.is_file()) {
                let file = path.strip_prefix(fixture(name)).unwrap();
                assert_eq!(fs::read(dir.join(file)).unwrap(), fs::read(&path).unwrap(), "{name}: {}", file.display());
            }
            loads(&dir);
            let parts = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "part");
            assert!(!tree(cache.path()).keys().any(parts));
            // Once more, and without a network.
            assert_eq!(resolve(&hub).unwrap(), dir);
            hub.offline = true;
            assert_eq!(resolve(&hub).unwrap(), dir);
        }
    }
}

#[test]
fn what_a_mirror_links_to_is_known_before_it_comes_and_verified() {
    let stub = Stub::new("roberta-tiny");
    stub.set(Fault::Names);
    let (hub, cache) = hub(&stub);
    let mut sizes = Vec::new();
    hub.resolve(Path::new("team/tiny"), &mut |event| match event {
        Event::Received { size, .. } => sizes.push(size),
        event => panic!("{event:?}"),
    })
    .unwrap();
    assert!(sizes.contains(&152_208));
    stub.set(Fault::NamesAndFlipped);
    let (damaged, _damaged_cache) = self::hub(&stub);
    let line = resolve(&damaged).unwrap_err().to_string();
    assert!(line.contains("model.safetensors: its sha256 is not the one that the hub lists; it was removed"), "{line}");
    // By the names that the hub itself would have given.
    let (other, reference) = self::hub(&stub);
    stub.set(Fault::None);
    resolve(&other).unwrap();
    let names = |cache: &Path| {
        tree(&cache.join("models--team--tiny"))
            .into_keys()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(cache.path()), names(reference.path()));
}

#[test]
fn a_state_without_a_commit_is_looked_at_anew_and_only_what_changed_comes() {
    let stub = Stub::new("st-roberta-tiny-old");
    stub.set(Fault::OwnCommit);
    let (hub, _cache) = hub(&stub);
    let dir = resolve(&hub).unwrap();
    stub.add("sentence_bert_config.json", br#"{"max_seq_length": 20}"#);
    stub.requests();
    assert_eq!(resolve(&hub).unwrap(), dir);
    assert_eq!(fs::read(dir.join("sentence_bert_config.json")).unwrap(), br#"{"max_seq_length": 20}"#);
    let fetched: Vec<_> = stub.requests().into_iter().filter(|request| request.starts_with("GET /team/")).collect();
    assert!(fetched.len() == 1 && fetched[0].contains("sentence_bert_config"), "{fetched:?}");
}

#[test]
fn a_file_that_is_listed_and_not_there_is_missed_only_where_it_is_needed() {
    let stub = Stub::new("st-roberta-tiny-old");
    stub.set(Fault::Lost("tokenizer_config.json"));
    let (hub, _cache) = hub(&stub);
    loads(&resolve(&hub).unwrap());
    for (lost, expected) in
        [("/config.json", "no config.json on the hub"), ("model.safetensors", "no weights on the hub")]
    {
        let stub = Stub::new("roberta-tiny");
        stub.set(Fault::Lost(lost));
        let (hub, _cache) = self::hub(&stub);
        let line = resolve(&hub).unwrap_err().to_string();
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn the_older_names_of_the_length_file_come_too() {
    let stub = Stub::new("st-roberta-tiny-old");
    stub.remove("sentence_bert_config.json");
    for name in ["sentence_xlnet_config.json", "added_tokens.json", "special_tokens_map.json"] {
        stub.add(name, b"{}");
    }
    let (hub, _cache) = hub(&stub);
    let dir = resolve(&hub).unwrap();
    for name in ["sentence_xlnet_config.json", "added_tokens.json", "special_tokens_map.json"] {
        assert!(dir.join(name).exists(), "{name}");
    }
}

#[test]
fn an_adapter_on_the_hub_is_refused_by_name() {
    let stub = Stub::new("roberta-tiny");
    for name in ["config.json", "model.safetensors"] {
        stub.remove(name);
    }
    stub.add("adapter_config.json", br#"{"base_model_name_or_path": "klue/roberta-base"}"#);
    stub.add("adapter_model.safetensors", b"");
    let (hub, _cache) = hub(&stub);
    let line = resolve(&hub).unwrap_err().to_string();
    assert!(line.contains("a PEFT adapter of `klue/roberta-base`, expected a whole model"), "{line}");
}

#[test]
fn a_cache_that_has_all_is_not_written() {
    let stub = Stub::new("st-roberta-tiny-old");
    let (hub, cache) = hub(&stub);
    let dir = resolve(&hub).unwrap();
    let before = tree(cache.path());
    assert_eq!(resolve(&hub).unwrap(), dir);
    assert_eq!(tree(cache.path()), before);
}

#[test]
fn a_cache_that_cannot_be_written_and_lacks_a_file_is_told_in_one_line() {
    let stub = Stub::new("roberta-tiny");
    let (mut hub, _cache) = hub(&stub);
    hub.cache = "/sys/no-cache".into(); // where not even root makes a folder
    let line = resolve(&hub).unwrap_err().to_string();
    assert!(
        line.starts_with("team/tiny: config.json is not in the cache /sys/no-cache, which cannot be written ("),
        "{line}"
    );
    assert!(line.ends_with("set HF_HUB_CACHE to a folder that can be") && !line.contains('\n'), "{line}");
}

#[test]
fn of_two_commands_the_second_takes_over_where_the_first_fails() {
    for (fault, range) in [(Fault::FlippedOnce, None), (Fault::CutOnce(100_000), Some("bytes=100000-"))] {
        let stub = Stub::new("roberta-tiny");
        stub.set(fault);
        let (hub, _cache) = hub(&stub);
        let first = hub.clone();
        let first = thread::spawn(move || resolve(&first).unwrap_err().to_string());
        thread::sleep(Duration::from_millis(300)); // the first one waits for the weights by now
        loads(&resolve(&hub).unwrap());
        let line = first.join().unwrap();
        assert!(line.contains("model.safetensors: "), "{line}");
        let requests: Vec<_> = stub.requests().into_iter().filter(|request| request.contains("/cdn/")).collect();
        assert_eq!(requests.len(), 2, "{requests:?}");
        assert_eq!(requests[1].split(' ').nth(2), range, "{requests:?}");
    }
}

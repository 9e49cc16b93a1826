//! Models of the Hugging Face hub, against a stub of it on loopback that serves the real protocol.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;
#[allow(dead_code)] // each test binary uses a part
#[path = "common/stub_hub.rs"]
mod stub_hub;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use common::{fixture, reference_python};
use model::{
    Error, Options, SentenceEncoder,
    hub::{Event, Hub},
};
use stub_hub::{COMMIT, Fault, Stub};
use tempfile::TempDir;

/// A hub with a cache of its own.
fn hub(stub: &Stub) -> (Hub, TempDir) {
    let cache = tempfile::tempdir().unwrap();
    let patience = Duration::from_secs(5);
    let hub = Hub { endpoint: stub.url.clone(), cache: cache.path().to_owned(), token: None, offline: false, patience };
    (hub, cache)
}

fn resolve(hub: &Hub, model: &str) -> Result<PathBuf, Error> {
    hub.resolve(Path::new(model), &mut |_| ())
}

/// The one line with which a model is refused.
fn refusal(hub: &Hub, model: &str) -> String {
    let line = resolve(hub, model).unwrap_err().to_string();
    assert!(line.starts_with(&format!("{model}: ")) && !line.contains('\n'), "{line}");
    line
}

fn files(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            names.extend(files(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

/// The content in the cache, whole or not.
fn blobs(cache: &Path) -> Vec<String> {
    files(&cache.join("models--team--tiny/blobs"))
}

fn loads(dir: &Path) {
    let embedding =
        SentenceEncoder::load(dir, &Options::default()).unwrap().encode(&["비가 온다."]).unwrap().to_tensor();
    assert!(embedding.norm().double_value(&[]) > 0.0);
}

#[test]
fn a_first_download_holds_the_files_needed_and_a_second_asks_only_whether_they_are_the_newest() {
    let stub = Stub::new("st-roberta-tiny-old");
    let (hub, cache) = hub(&stub);
    let mut last = 0;
    let dir = hub.resolve(Path::new("team/tiny"), &mut |event| match event {
        Event::Received { model: "team/tiny", file: "model.safetensors", bytes, size: 149_408 } => last = bytes,
        Event::Received { size, .. } => assert!(size < 20_000),
        event => panic!("{event:?}"),
    });
    let dir = dir.unwrap();
    assert_eq!((last, dir.clone()), (149_408, cache.path().join("models--team--tiny/snapshots").join(COMMIT)));
    let expected = files(&fixture("st-roberta-tiny-old"));
    assert_eq!(files(&dir), expected);
    for name in expected {
        assert_eq!(fs::read(dir.join(&name)).unwrap(), fs::read(fixture("st-roberta-tiny-old").join(&name)).unwrap());
        assert!(fs::read_link(dir.join(&name)).unwrap().starts_with("..")); // so that the cache can be moved
    }
    assert_eq!(fs::read_to_string(cache.path().join("models--team--tiny/refs/main")).unwrap(), COMMIT);
    loads(&dir);

    stub.requests();
    assert_eq!(resolve(&hub, "team/tiny").unwrap(), dir);
    assert_eq!(stub.requests(), ["GET /api/models/team/tiny/revision/main?blobs=true"]);
}

#[test]
fn safetensors_are_preferred_and_every_layout_is_complete() {
    for name in ["st-roberta-tiny-new", "roberta-tiny", "bert-tiny", "bert-tiny-sharded"] {
        let stub = Stub::new(name);
        stub.add("README.md", b"card");
        stub.add("onnx/config.json", b"{}");
        stub.add("flax_model.msgpack", b"other weights");
        if name != "bert-tiny" {
            stub.add("pytorch_model.bin", b"a pickle");
            stub.add("vocab.txt", b"[PAD]");
        }
        let (hub, _cache) = hub(&stub);
        let dir = resolve(&hub, "team/tiny").unwrap();
        let mut expected = files(&fixture(name));
        expected.push("README.md".to_owned()); // which may say how far embeddings may be truncated
        expected.sort();
        assert_eq!(files(&dir), expected, "{name}");
        loads(&dir);
    }
}

#[test]
fn a_directory_of_that_name_wins() {
    let stub = Stub::new("roberta-tiny");
    let (hub, _cache) = hub(&stub);
    assert_eq!(hub.resolve(&fixture("roberta-tiny"), &mut |_| ()).unwrap(), fixture("roberta-tiny"));
    assert!(resolve(&hub, "tests/fixtures").unwrap().ends_with("tests/fixtures"));
    assert_eq!(stub.requests(), Vec::<String>::new());
}

#[test]
fn what_is_neither_directory_nor_id_is_not_asked_for() {
    let stub = Stub::new("roberta-tiny");
    let (hub, _cache) = hub(&stub);
    for model in ["nowhere/at/all", "/nowhere", "../tiny", "team/tiny/", "team/tiny@", "팀/모델", "team/..", ""] {
        let line = refusal(&hub, model);
        assert!(line.contains("no such directory; expected one, or a model's id on the Hugging Face hub"), "{line}");
    }
    assert!(refusal(&hub, "tests/hub.rs").contains("not a directory; expected one, or"));
    assert_eq!(stub.requests(), Vec::<String>::new());
}

#[test]
fn without_a_network_the_cache_serves() {
    let stub = Stub::new("roberta-tiny");
    let (mut hub, _cache) = hub(&stub);
    let dir = resolve(&hub, "team/tiny").unwrap();
    resolve(&hub, "team/tiny@v1.0").unwrap();
    stub.requests();
    hub.offline = true;
    for model in ["team/tiny", "team/tiny@v1.0", &format!("team/tiny@{COMMIT}")] {
        assert_eq!(resolve(&hub, model).unwrap(), dir);
    }
    assert!(refusal(&hub, "team/tiny@v2.0").contains("no whole copy in the cache"));
    assert_eq!(stub.requests(), Vec::<String>::new());

    (hub.offline, hub.endpoint) = (false, "http://127.0.0.1:1".to_owned()); // a port on which nobody listens
    let mut notice = String::new();
    let found = hub.resolve(Path::new("team/tiny"), &mut |event| notice = format!("{event:?}"));
    assert_eq!(found.unwrap(), dir);
    assert!(notice.starts_with("Unreachable"), "{notice}");
    hub.endpoint = stub.url.clone();
    stub.set(Fault::Status(503, ""));
    assert_eq!(resolve(&hub, "team/tiny").unwrap(), dir);
}

#[test]
fn without_a_network_and_without_the_model_the_message_says_what_to_do() {
    let stub = Stub::new("roberta-tiny");
    let (mut hub, cache) = hub(&stub);
    hub.offline = true;
    let line = refusal(&hub, "team/tiny");
    assert!(
        line.contains(&format!("no whole copy in the cache {}: unset HF_HUB_OFFLINE", cache.path().display())),
        "{line}"
    );
    (hub.offline, hub.endpoint) = (false, "http://127.0.0.1:1".to_owned());
    let line = refusal(&hub, "team/tiny");
    assert!(line.contains("the hub at http://127.0.0.1:1 cannot be reached (") && line.contains("check the network"));
    hub.endpoint = "no address".to_owned();
    assert!(refusal(&hub, "team/tiny").contains("the hub at no address cannot be reached"));
    assert_eq!(files(cache.path()), Vec::<String>::new());
}

#[test]
fn a_part_of_a_model_in_the_cache_is_not_a_model() {
    let stub = Stub::new("bert-tiny-sharded");
    let (mut hub, _cache) = hub(&stub);
    let dir = resolve(&hub, "team/tiny").unwrap();
    hub.offline = true;
    for name in ["model-00002-of-00003.safetensors", "config.json", "tokenizer.json"] {
        fs::rename(dir.join(name), dir.join("aside")).unwrap();
        assert!(refusal(&hub, "team/tiny").contains("no whole copy in the cache"), "{name}");
        fs::rename(dir.join("aside"), dir.join(name)).unwrap();
    }
    fs::remove_file(fs::canonicalize(dir.join("config.json")).unwrap()).unwrap(); // the link leads nowhere
    hub.offline = false;
    loads(&resolve(&hub, "team/tiny").unwrap());
}

#[test]
fn a_cut_download_is_continued() {
    let stub = Stub::new("roberta-tiny");
    let (hub, cache) = hub(&stub);
    stub.set(Fault::Cut(100_000));
    let line = refusal(&hub, "team/tiny");
    assert!(line.contains("model.safetensors: the download broke off (") && line.contains("run the command again"));
    let part = blobs(cache.path()).into_iter().find(|name| name.ends_with(".part")).unwrap();
    assert_eq!(fs::metadata(cache.path().join("models--team--tiny/blobs").join(part)).unwrap().len(), 100_000);
    assert!(!cache.path().join("models--team--tiny/refs/main").exists());

    stub.set(Fault::None);
    stub.requests();
    loads(&resolve(&hub, "team/tiny").unwrap());
    let requests: Vec<_> = stub.requests().into_iter().filter(|request| request.contains("/cdn/")).collect();
    assert!(requests.len() == 1 && requests[0].ends_with(" bytes=100000-"), "{requests:?}");
    assert!(!blobs(cache.path()).iter().any(|name| name.ends_with(".part")));
}

#[test]
fn a_part_that_was_whole_needs_no_download_and_a_damaged_one_does_not_block_it() {
    let stub = Stub::new("roberta-tiny");
    let whole = fs::read(fixture("roberta-tiny/model.safetensors")).unwrap();
    for (part, refusals, downloads) in [(whole.clone(), 0, 0), (whole.repeat(2), 1, 1), (vec![0; 1000], 1, 2)] {
        let (hub, cache) = hub(&stub);
        stub.set(Fault::Cut(1000));
        refusal(&hub, "team/tiny");
        let name = blobs(cache.path()).into_iter().find(|name| name.ends_with(".part")).unwrap();
        fs::write(cache.path().join("models--team--tiny/blobs").join(name), part).unwrap();
        stub.set(Fault::None);
        stub.requests();
        for _ in 0..refusals {
            assert!(refusal(&hub, "team/tiny").contains("it was removed: run the command again"));
        }
        loads(&resolve(&hub, "team/tiny").unwrap());
        assert_eq!(stub.requests().iter().filter(|request| request.contains("/cdn/")).count(), downloads);
    }
}

#[test]
fn a_wrong_file_is_removed_and_named() {
    for (fault, part) in [
        (Fault::Short(10), "model.safetensors: 152198 bytes came, expected 152208; it was removed"),
        (Fault::Flipped, "model.safetensors: its sha256 is not the one that the hub lists; it was removed"),
    ] {
        let stub = Stub::new("roberta-tiny");
        let (hub, cache) = hub(&stub);
        stub.set(fault);
        let line = refusal(&hub, "team/tiny");
        assert!(line.contains(part), "{line}");
        assert_eq!(blobs(cache.path()).len(), 3); // config, tokenizer and its config
        stub.set(Fault::None);
        loads(&resolve(&hub, "team/tiny").unwrap());
    }
}

#[test]
fn a_server_that_ignores_the_range_starts_the_file_anew() {
    let stub = Stub::new("roberta-tiny");
    let (hub, _cache) = hub(&stub);
    stub.set(Fault::Cut(1000));
    refusal(&hub, "team/tiny");
    stub.set(Fault::NoRange);
    loads(&resolve(&hub, "team/tiny").unwrap());
}

#[test]
fn a_silent_server_is_given_up() {
    let stub = Stub::new("roberta-tiny");
    let (mut hub, _cache) = hub(&stub);
    hub.patience = Duration::from_millis(300);
    stub.set(Fault::Silent(1000));
    let line = refusal(&hub, "team/tiny");
    assert!(line.contains("broke off (no data came for 0.3 seconds): run the command again to continue it"), "{line}");
}

#[test]
fn each_refusal_of_the_hub_says_what_to_do() {
    let stub = Stub::new("roberta-tiny");
    let (mut hub, cache) = hub(&stub);
    let anonymous = refusal(&hub, "team/tini");
    assert!(anonymous.contains("(401): check the spelling; a private model needs HF_TOKEN"), "{anonymous}");
    let revision = refusal(&hub, "team/tiny@v9");
    assert!(revision.contains("no revision `v9` of this model (404): see http"), "{revision}");
    hub.token = Some("hf_good".to_owned());
    let unknown = refusal(&hub, "team/tini");
    assert!(unknown.contains("not found on the hub (404): check the spelling; a private model needs HF_TOKEN"));
    hub.token = Some("hf_bad".to_owned());
    assert!(refusal(&hub, "team/tiny").contains("does not accept the token (401): check HF_TOKEN"));
    hub.token = None;
    stub.set(Fault::Status(403, "GatedRepo"));
    assert!(refusal(&hub, "team/tiny").contains("(403): accept the model's terms at http"));
    stub.set(Fault::Status(418, ""));
    assert!(refusal(&hub, "team/tiny").contains("HTTP status 418: try again later"));
    stub.set(Fault::Gated); // the listing is public, the files are not
    assert!(refusal(&hub, "team/tiny").contains("a private model needs HF_TOKEN"));
    stub.set(Fault::NoJson);
    assert!(refusal(&hub, "team/tiny").contains("the hub's answer lists no files ("));
    assert_eq!(files(cache.path()), Vec::<String>::new());
}

#[test]
fn a_token_opens_a_private_model_and_is_not_shown_to_other_hosts() {
    let stub = Stub::new("roberta-tiny");
    let (mut hub, _cache) = hub(&stub);
    hub.token = Some("hf_good".to_owned());
    loads(&resolve(&hub, "team/tiny").unwrap());
    assert!(!stub.requests().iter().any(|request| request.contains("/cdn/") && request.contains("Bearer")));
}

#[test]
fn a_model_that_cannot_be_used_is_refused_before_its_weights_are_downloaded() {
    let dense = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Dense", "type": "sentence_transformers.models.Dense"}]"#;
    let stub = Stub::new("roberta-tiny");
    stub.add("modules.json", dense.as_bytes());
    let (hub, cache) = hub(&stub);
    let error = resolve(&hub, "team/tiny").unwrap_err().to_string();
    assert!(error.contains("Dense` is not supported"), "{error}");
    assert!(blobs(cache.path()).len() == 4 && !stub.requests().iter().any(|request| request.contains("/cdn/")));

    let stub = Stub::new("roberta-tiny");
    stub.remove("model.safetensors");
    let (model, _cache) = self::hub(&stub);
    assert!(refusal(&model, "team/tiny").contains("no weights on the hub: expected model.safetensors or"));
    stub.remove("config.json");
    let (model, _cache) = self::hub(&stub);
    assert!(refusal(&model, "team/tiny").contains("no config.json on the hub"));
}

#[test]
fn a_file_that_leads_out_of_the_cache_is_not_fetched() {
    let stub = Stub::new("roberta-tiny");
    stub.add("modules.json", br#"[{"path": "../../../..", "type": "sentence_transformers.models.Transformer"}]"#);
    stub.add("../../../../config.json", b"{}");
    let (hub, _cache) = hub(&stub);
    assert!(resolve(&hub, "team/tiny").unwrap_err().to_string().contains("leads out of the directory"));
}

#[test]
fn a_new_commit_brings_only_what_changed() {
    let stub = Stub::new("st-roberta-tiny-old");
    let (hub, _cache) = hub(&stub);
    let old = resolve(&hub, "team/tiny").unwrap();
    stub.add("sentence_bert_config.json", br#"{"max_seq_length": 20}"#);
    let commit = stub.commit();
    stub.requests();
    let new = resolve(&hub, "team/tiny").unwrap();
    assert!(new != old && new.ends_with(&commit));
    let requests = stub.requests();
    let fetched: Vec<_> = requests.iter().filter(|request| request.contains("/resolve/")).collect();
    assert!(fetched.len() == 1 && fetched[0].contains("sentence_bert_config"), "{fetched:?}");
    assert_eq!(files(&new), files(&old));
    loads(&new);
}

/// Runs Python with `huggingface_hub`, if there is one.
fn python(hub: &Hub, offline: bool, code: &str) -> Option<String> {
    let interpreter = reference_python("Python shares the hub's cache")?;
    let output = Command::new(interpreter)
        .args(["-c", code])
        .env("HF_ENDPOINT", &hub.endpoint)
        .env("HF_HUB_CACHE", &hub.cache)
        .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn python_finds_what_was_downloaded_here() {
    let stub = Stub::new("st-roberta-tiny-old");
    let (hub, _cache) = hub(&stub);
    let dir = resolve(&hub, "team/tiny").unwrap();
    stub.requests();
    let code = "import huggingface_hub as h; print(h.snapshot_download('team/tiny'))";
    let Some(found) = python(&hub, true, code) else { return };
    assert_eq!(Path::new(&found), dir);
    let code = "import huggingface_hub as h; print(h.try_to_load_from_cache('team/tiny', '1_Pooling/config.json'))";
    assert_eq!(Path::new(&python(&hub, true, code).unwrap()), dir.join("1_Pooling/config.json"));
    let code = "import huggingface_hub as h; print(h.hf_hub_download('team/tiny', 'model.safetensors'))";
    assert_eq!(Path::new(&python(&hub, false, code).unwrap()), dir.join("model.safetensors"));
    assert!(!stub.requests().iter().any(|request| request.contains("GET /cdn/"))); // Python asked, and downloaded nothing
}

#[test]
fn what_python_downloaded_is_found_here() {
    let stub = Stub::new("st-roberta-tiny-old");
    let (mut hub, _cache) = hub(&stub);
    let code = "import huggingface_hub as h; print(h.snapshot_download('team/tiny'))";
    let Some(dir) = python(&hub, false, code) else { return };
    stub.requests();
    assert_eq!(resolve(&hub, "team/tiny").unwrap(), Path::new(&dir));
    assert_eq!(stub.requests(), ["GET /api/models/team/tiny/revision/main?blobs=true"]);
    hub.offline = true;
    let found = resolve(&hub, "team/tiny").unwrap();
    assert_eq!(found, Path::new(&dir));
    loads(&found);
}

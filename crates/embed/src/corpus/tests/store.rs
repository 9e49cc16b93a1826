//! Where indexes lie, and how long.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
};

use serde_json::json;

use super::{
    super::{Corpus, Filter, ScanFormat, source},
    ROWS, expected, folder, found, open, vector, write,
};
use crate::parts;

/// The folders of an index's store, whole or not.
fn indexes(store: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Whether opening makes an index.
fn makes(dir: &Path, format: ScanFormat) -> bool {
    let mut is_made = false;
    Corpus::open(dir, None, format, &mut |_| is_made = true).unwrap();
    is_made
}

#[test]
fn an_index_is_made_once_for_each_format_and_both_stay() {
    let folder = folder();
    let store = folder.path().join("_index");
    assert!(makes(folder.path(), ScanFormat::Int8));
    assert!(!makes(folder.path(), ScanFormat::Int8));
    assert!(makes(folder.path(), ScanFormat::Bf16), "in another format");
    assert_eq!(indexes(&store).len(), 2);
    assert!(!makes(folder.path(), ScanFormat::Int8) && !makes(folder.path(), ScanFormat::Bf16), "side by side");
}

#[test]
fn parts_that_are_made_anew_get_a_new_index_and_who_has_the_former_open_keeps_it() {
    let (folder, query) = (folder(), vector(ROWS));
    let former = [ScanFormat::Int8, ScanFormat::F32].map(|format| open(folder.path(), format));
    let before = indexes(&folder.path().join("_index"));
    for part in 0..2 {
        fs::remove_file(parts::path(folder.path(), 0, part)).unwrap();
    }
    write(folder.path(), 3 * ROWS);
    let new = open(folder.path(), ScanFormat::Int8);
    let after = indexes(&folder.path().join("_index"));
    assert!(after.len() == 1 && !before.contains(&after[0]), "{before:?} {after:?}");
    for former in former {
        assert_eq!(found(&former, &query, 10, json!({"year": {"gte": 2000}})), expected(&query, 10, |_| true));
    }
    let best = new.search(&vector(3 * ROWS + 4), 1, &Filter::default())[0];
    assert_eq!(new.row(&best).unwrap().text, format!("문장 {}", 3 * ROWS + 4));
}

#[test]
fn many_that_make_the_same_index_at_once_make_it_once() {
    let folder = folder();
    let made: usize = thread::scope(|scope| {
        let open = || usize::from(makes(folder.path(), ScanFormat::Int8));
        let running: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        running.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!((made, indexes(&folder.path().join("_index")).len()), (1, 1));
}

#[test]
fn what_a_killed_process_left_is_removed_and_not_read() {
    let folder = folder();
    let store = folder.path().join("_index");
    let left = store.join("0123456789abcdef0123456789abcdef.tmp");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("vectors.f32"), "half").unwrap();
    // Also of the very index that is made now.
    let (_, _, source) = source(folder.path(), ScanFormat::Int8).unwrap();
    fs::create_dir_all(store.join(source.digest() + ".tmp")).unwrap();
    assert!(makes(folder.path(), ScanFormat::Int8));
    assert_eq!(indexes(&store), [store.join(source.digest())]);
}

#[test]
fn an_index_of_an_earlier_version_is_replaced() {
    let folder = folder();
    let store = folder.path().join("_index");
    let unfinished = folder.path().join("_index.tmp");
    for dir in [&store, &unfinished] {
        fs::create_dir(dir).unwrap();
        for name in ["index.json", "manifest.json", "rows.arrows", "scales.f32", "scanned.bin", "vectors.f32"] {
            fs::write(dir.join(name), "{}").unwrap();
        }
    }
    fs::write(folder.path().join("_index.lock"), "").unwrap();
    assert!(makes(folder.path(), ScanFormat::Int8));
    let names = fs::read_dir(&store).unwrap().count();
    assert_eq!((indexes(&store).len(), names), (1, 2), "the index and the lock");
    assert!(!unfinished.exists() && !folder.path().join("_index.lock").exists());
}

#[test]
fn an_index_that_was_damaged_is_named_and_the_remedy_helps() {
    let folder = folder();
    assert!(makes(folder.path(), ScanFormat::Bf16));
    let index = indexes(&folder.path().join("_index")).remove(0);
    let refusal = || format!("{:#}", Corpus::open(folder.path(), None, ScanFormat::Bf16, &mut |_| {}).unwrap_err());
    for name in ["vectors.f32", "scanned.bin", "rows.arrows"] {
        let whole = fs::read(index.join(name)).unwrap();
        fs::write(index.join(name), &whole[..5]).unwrap();
        let told = refusal();
        assert!(told.contains(&format!("{name}: 5 bytes")), "{told}");
        assert!(told.ends_with("remove the index's folder, and it is made anew"), "{told}");
        fs::write(index.join(name), whole).unwrap();
        assert!(!makes(folder.path(), ScanFormat::Bf16));
    }
    let header = index.join("index.json");
    let text = fs::read_to_string(&header).unwrap();
    fs::write(&header, text.replace("\"error\": 0.", "\"error\": 1.")).unwrap();
    assert!(refusal().contains("index.json: damaged"), "{}", refusal());
    fs::remove_dir_all(index).unwrap();
    assert!(makes(folder.path(), ScanFormat::Bf16));
}

#[test]
fn an_index_lies_among_nothing_else() {
    let folder = folder();
    let at = |index: &Path| Corpus::open(folder.path(), Some(index), ScanFormat::F32, &mut |_| {});
    let error = format!("{:#}", at(folder.path()).unwrap_err());
    assert!(error.contains("holds other files, such as ") && error.contains("--corpus-index"), "{error}");
    assert!(!folder.path().join("lock").exists());
    let elsewhere = tempfile::tempdir().unwrap();
    at(elsewhere.path()).unwrap();
    assert!(!folder.path().join("_index").exists());
}

#[test]
fn a_folder_that_cannot_be_written_serves_with_the_index_that_it_has() {
    let folder = folder();
    let (dir, store) = (folder.path().to_owned(), folder.path().join("_index"));
    open(&dir, ScanFormat::Int8);
    let allow = |mode| {
        for path in [&indexes(&store)[0], &store, &dir] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
    };
    allow(0o555);
    let is_root = File::create(dir.join("probe")).is_ok(); // who may write anywhere
    assert_eq!(open(&dir, ScanFormat::Int8).rows(), ROWS - ROWS / 100);
    let other = Corpus::open(&dir, None, ScanFormat::F32, &mut |_| {});
    assert!(is_root || format!("{:#}", other.unwrap_err()).contains("--corpus-index"));
    allow(0o755);
}

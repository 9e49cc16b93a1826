//! A folder of indexes, each in an immutable folder of its own that is named by what it was made from.
//!
//! ```text
//! _index/
//!   lock                               held by who makes one
//!   3f0c…/index.json, vectors.f32, …   one for each format of the present parts
//!   3f0c….tmp                          one under way, or what is left of one
//! ```
//!
//! An index takes its name whole and is never written again, so that whoever has it open keeps it, also while the next is made.
//! Those of former parts are removed then: a server that has them mapped goes on with them.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};

use super::{
    format::{NUMBERS, SCALES},
    header::{self, Contents, DIGITS, Source},
    index::{self, ROWS, VECTORS},
    mapped::DAMAGED,
};

const LOCK: &str = "lock";
const UNFINISHED: &str = ".tmp";

/// What earlier versions had right in the folder, for one format alone.
const EARLIER: [&str; 6] = [header::NAME, VECTORS, NUMBERS, SCALES, ROWS, "manifest.json"];

const ANOTHER: &str = "(another place for the index: --corpus-index)";

/// The index of a source in `store`; it is made from the parts where there is none. `told` hears of that, once before and
/// then with the rows so far.
pub(super) fn find_or_make(
    store: &Path,
    parts: &Path,
    source: &Source,
    told: &mut dyn FnMut(usize),
) -> anyhow::Result<(PathBuf, Contents)> {
    let path = store.join(source.digest());
    let current = || match header::read(&path)? {
        Some((found, contents)) if found == *source => Ok(Some((path.clone(), contents))),
        Some(_) => bail!("{}: {}", path.join(header::NAME).display(), DAMAGED),
        None => Ok(None),
    };
    if let Some(current) = current()? {
        return Ok(current);
    }
    refuse_others(store)?;
    // One process at a time; who waited finds what the other made.
    let _lock = lock(store).with_context(|| format!("{} {ANOTHER}", store.display()))?;
    if let Some(current) = current()? {
        return Ok(current);
    }
    told(0);
    remove_unfinished(store);
    let made = make(&path, parts, source, told).context("the corpus's index cannot be made");
    let contents = made.with_context(|| format!("{} {ANOTHER}", store.display()))?;
    remove_former(store, source);
    Ok((path, contents))
}

/// Fails where a folder holds what no index does.
fn refuse_others(store: &Path) -> anyhow::Result<()> {
    let shown = store.display();
    let entries = match fs::read_dir(store) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("{shown} {ANOTHER}"))?,
    };
    for entry in entries {
        let name = entry.with_context(|| shown.to_string())?.file_name();
        let name = name.to_string_lossy();
        let is_ours = name == LOCK || EARLIER.contains(&name.as_ref()) || is_index(name.trim_end_matches(UNFINISHED));
        let is_systems = name == "lost+found"; // at the root of a volume
        ensure!(
            is_ours || is_systems,
            "{shown}: holds other files, such as {name}, expected indexes, an empty folder or none: choose another --corpus-index"
        );
    }
    Ok(())
}

fn is_index(name: &str) -> bool {
    name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Waits for the lock; it is given back with the file.
fn lock(store: &Path) -> std::io::Result<File> {
    fs::create_dir_all(store)?;
    let file = File::options().write(true).create(true).truncate(false).open(store.join(LOCK))?;
    file.lock()?;
    Ok(file)
}

/// Makes an index, which has its name when it is whole and on the disk.
fn make(path: &Path, parts: &Path, source: &Source, told: &mut dyn FnMut(usize)) -> anyhow::Result<Contents> {
    let unfinished = Unfinished(path.with_extension(&UNFINISHED[1..]));
    fs::create_dir(&unfinished.0).with_context(|| unfinished.0.display().to_string())?;
    let contents = index::write(&unfinished.0, parts, source, told)?;
    // Their rows may be of both.
    let is_same = header::parts(parts)? == source.parts;
    ensure!(is_same, "{}: its parts changed meanwhile: start again when `embed` is done", parts.display());
    header::write(&unfinished.0, source, &contents)?;
    let in_place = || -> std::io::Result<()> {
        File::open(&unfinished.0)?.sync_all()?;
        fs::rename(&unfinished.0, path)?;
        // The rename itself lasts once the folder is synced; a file system that cannot do that is no reason to fail.
        let _ = path.parent().map(|store| File::open(store).and_then(|store| store.sync_all()));
        Ok(())
    };
    in_place().with_context(|| path.display().to_string())?;
    Ok(contents)
}

/// A folder that is removed when dropped, unless it was renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what processes left that were killed. The lock is held, so nobody else is at it.
fn remove_unfinished(store: &Path) {
    for path in entries(store) {
        if path.extension().is_some_and(|end| end == &UNFINISHED[1..]) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Removes the indexes of other parts or another model, and what earlier versions made. What cannot be removed stays: it is
/// in nobody's way.
fn remove_former(store: &Path, source: &Source) {
    let is_earlier = |path: &Path| path.file_name().is_some_and(|name| EARLIER.iter().any(|earlier| name == *earlier));
    let mut was_earlier = false;
    for path in entries(store) {
        let is_index = path.file_name().is_some_and(|name| is_index(&name.to_string_lossy()));
        let is_former =
            || !matches!(header::read(&path), Ok(Some((other, _))) if source.is_same_but_for_format(&other));
        if is_index && is_former() {
            // In one step for whoever is about to open it.
            let aside = Unfinished(path.with_extension(&UNFINISHED[1..]));
            let _ = fs::rename(&path, &aside.0);
        } else if is_earlier(&path) {
            was_earlier |= fs::remove_file(&path).is_ok();
        }
    }
    // Earlier versions made an index beside its place, under a lock beside it.
    let beside = |end: &str| {
        let mut name: OsString = store.file_name().unwrap_or_default().to_owned();
        name.push(end);
        store.with_file_name(name)
    };
    let unfinished = entries(&beside(UNFINISHED));
    if !unfinished.is_empty() && unfinished.iter().all(|path| is_earlier(path)) {
        let _ = fs::remove_dir_all(beside(UNFINISHED));
    }
    if was_earlier {
        let _ = fs::remove_file(beside(".lock"));
    }
}

fn entries(store: &Path) -> Vec<PathBuf> {
    fs::read_dir(store).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

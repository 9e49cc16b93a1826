//! `pytorch_model.bin` of PyTorch before 1.6, which is no archive: pickles, one after the other, then the storages.
//!
//! Source: `_legacy_save` and `_legacy_load` in `torch/serialization.py` of PyTorch 2.11. Five pickles (a magic number,
//! the version, the writing machine, the state dict, the keys of its storages), then for each key the number of elements,
//! 8 bytes, and the elements.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::{
    Entry,
    objects::{Pickle, Value},
    pickle,
    state_dict::{self, MAX_PICKLE, Place, element_size},
};
use crate::error::Error;

/// 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC_NUMBER: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

const PROTOCOL_VERSION: i64 = 1001;

/// Indexes the tensors of a saved state dict.
pub(super) fn index(path: &Path) -> Result<BTreeMap<String, Entry>, Error> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let mut bytes = Vec::new();
    file.by_ref().take(MAX_PICKLE).read_to_end(&mut bytes).map_err(Error::io(path))?;
    index_pickles(path, &mut file, &bytes)
        .map_err(|what| Error::invalid(path, format!("not a whole PyTorch file of the form before 1.6: {what}")))
}

fn index_pickles(path: &Path, file: &mut File, bytes: &[u8]) -> Result<BTreeMap<String, Entry>, String> {
    let mut pickles = Pickles { bytes, at: 0 };
    if pickles.next("magic number")?.root != Value::Long(&MAGIC_NUMBER) {
        return Err("it does not begin with PyTorch's magic number".to_owned());
    }
    let version = pickles.next("version")?.root;
    if version != Value::Int(PROTOCOL_VERSION) {
        return Err(format!("its version is {version:?}, expected {PROTOCOL_VERSION}"));
    }
    let machine = pickles.next("description of the machine")?;
    let is_big = (Value::Text("little_endian"), Value::Bool(false));
    if machine.dict(machine.root).ok_or("it does not tell on what machine it was written")?.contains(&is_big) {
        return Err("its byte order is big, expected little: save it again on a common processor".to_owned());
    }
    let state = pickles.next("state dict")?;
    let keys = pickles.next("list of storages")?;
    let places = places(&state, &keys, file, pickles.at as u64)?;
    state_dict::index(path, &state, |storage| {
        places.get(storage.key).copied().ok_or_else(|| format!("its storage `{}` is not in the file", storage.key))
    })
}

struct Pickles<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Pickles<'a> {
    fn next(&mut self, what: &str) -> Result<Pickle<'a>, String> {
        let (pickle, size) = pickle::parse(&self.bytes[self.at..]).map_err(|error| {
            let is_cut = self.bytes.len() as u64 == MAX_PICKLE;
            let limit = if is_cut { ", within the 16 MiB that a state dict's pickles have at most" } else { "" };
            format!("the pickle of its {what}, which begins at byte {}, has at {error}{limit}", self.at)
        })?;
        self.at += size;
        Ok(pickle)
    }
}

/// Where each storage lies, which begin at `start` in the order of their keys.
fn places<'a>(
    state: &'a Pickle<'_>,
    keys: &Pickle<'_>,
    file: &mut File,
    start: u64,
) -> Result<HashMap<&'a str, Place>, String> {
    let mut known = HashMap::new();
    for storage in state.storages() {
        let bytes = element_size(storage)?;
        if *known.entry(storage.key).or_insert((bytes, storage.numel)) != (bytes, storage.numel) {
            return Err(format!("its storage `{}` has two types or sizes", storage.key));
        }
    }
    let text = |error: std::io::Error| error.to_string();
    let size = file.metadata().map_err(text)?.len();
    let mut places = HashMap::new();
    let mut at = start;
    for key in keys.list(keys.root).ok_or("it does not list its storages")? {
        let Value::Text(key) = *key else { return Err("it lists a storage without a name".to_owned()) };
        let (key, &(bytes, numel)) =
            known.get_key_value(key).ok_or_else(|| format!("no tensor is in its storage `{key}`"))?;
        let mut count = [0; 8];
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut count));
        read.map_err(|_| format!("it ends before its storage `{key}`"))?;
        let count = u64::from_le_bytes(count);
        if count != numel {
            return Err(format!("its storage `{key}` has {count} elements, expected {numel}"));
        }
        let place = numel.checked_mul(bytes).map(|size| Place { start: at + 8, size });
        let place = place.filter(|place| place.start.checked_add(place.size).is_some_and(|end| end <= size));
        let place = place.ok_or_else(|| format!("it ends within its storage `{key}`"))?;
        places.insert(*key, place);
        at = place.start + place.size;
    }
    Ok(places)
}

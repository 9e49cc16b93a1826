//! The tensors of a pickled state dict, in either form of `torch.save`, and where they lie in its file.
//!
//! Source: `torch/storage.py` and `torch/_utils.py` of PyTorch 2.11.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use tch::Kind;

use super::{
    Entry, Format,
    objects::{Pickle, Storage, Value},
};

/// More bytes than any state dict's pickle has: names and shapes alone.
pub(super) const MAX_PICKLE: u64 = 16 << 20;

/// Those of a model's weights have four at most; many names of one tensor of many would take memory for each.
const MAX_DIMENSIONS: usize = 8;

/// The types of numbers: the class of their storage, their name, their bytes, and what libtorch calls those of weights.
const FORMATS: [(&str, &str, u64, Option<Kind>); 27] = [
    ("DoubleStorage", "float64", 8, Some(Kind::Double)),
    ("FloatStorage", "float32", 4, Some(Kind::Float)),
    ("HalfStorage", "float16", 2, Some(Kind::Half)),
    ("BFloat16Storage", "bfloat16", 2, Some(Kind::BFloat16)),
    ("LongStorage", "int64", 8, Some(Kind::Int64)),
    ("IntStorage", "int32", 4, None),
    ("ShortStorage", "int16", 2, None),
    ("CharStorage", "int8", 1, None),
    ("ByteStorage", "uint8", 1, None),
    ("BoolStorage", "bool", 1, None),
    ("ComplexFloatStorage", "complex64", 8, None),
    ("ComplexDoubleStorage", "complex128", 16, None),
    ("QInt8Storage", "qint8", 1, None),
    ("QUInt8Storage", "quint8", 1, None),
    ("QInt32Storage", "qint32", 4, None),
    ("QUInt4x2Storage", "quint4x2", 1, None),
    ("QUInt2x4Storage", "quint2x4", 1, None),
    ("UntypedStorage", "uint8", 1, None),
    ("", "uint16", 2, None),
    ("", "uint32", 4, None),
    ("", "uint64", 8, None),
    ("", "float8_e4m3fn", 1, None),
    ("", "float8_e4m3fnuz", 1, None),
    ("", "float8_e5m2", 1, None),
    ("", "float8_e5m2fnuz", 1, None),
    ("", "float8_e8m0fnu", 1, None),
    ("", "float4_e2m1fn_x2", 1, None),
];

/// Bytes of an element of a storage.
pub(super) fn element_size(storage: &Storage<'_>) -> Result<u64, String> {
    let format = FORMATS.iter().find(|(class, ..)| *class == storage.class && !class.is_empty());
    format
        .map(|(_, _, bytes, _)| *bytes)
        .ok_or_else(|| format!("`{}` is no type of numbers that is known", storage.class))
}

/// Where the bytes of a storage lie in a file.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) start: u64,
    pub(super) size: u64,
}

/// Indexes a state dict whose storages `place` finds.
pub(super) fn index(
    path: &Path,
    pickle: &Pickle<'_>,
    mut place: impl FnMut(&Storage<'_>) -> Result<Place, String>,
) -> Result<BTreeMap<String, Entry>, String> {
    let items = pickle.dict(pickle.root).ok_or("it holds something else than a state dict")?;
    let file: Arc<Path> = path.into();
    let mut entries = BTreeMap::new();
    for (name, value) in items {
        let (Value::Text(name), Some(tensor)) = (name, pickle.tensor(*value)) else { continue };
        let within = |what: String| format!("tensor `{name}`: {what}");
        let storage = &pickle.storages()[tensor.storage];
        let whole = place(storage).map_err(within)?;
        let (shape, strides) = (pickle.shape(tensor), pickle.strides(tensor));
        if shape.len() > MAX_DIMENSIONS {
            return Err(within(format!("{} dimensions, expected at most {MAX_DIMENSIONS}", shape.len())));
        }
        let format = match tensor.dtype {
            Some(dtype) => FORMATS.iter().find(|(_, name, ..)| *name == dtype),
            None => FORMATS.iter().find(|(class, ..)| *class == storage.class),
        };
        let name_of_format = tensor.dtype.unwrap_or(storage.class);
        let Some((_, _, bytes, Some(kind))) = format else {
            let format = Format::Other(name_of_format.to_owned());
            let entry = Entry { file: file.clone(), offset: whole.start, format, shape, strides: None };
            entries.insert((*name).to_owned(), entry);
            continue;
        };
        let whole = match storage.view {
            Some((first, numel)) => part(whole, first, numel, element_size(storage).map_err(within)?),
            None => Some(whole),
        };
        let whole = whole.ok_or_else(|| within("its storage is a view beyond another".to_owned()))?;
        let entry = Entry { file: file.clone(), offset: 0, format: Format::Kind(*kind), shape, strides: Some(strides) };
        let reach = entry.reach().filter(|_| entry.bytes().is_some());
        let place = reach.and_then(|reach| part(whole, tensor.offset, reach, *bytes));
        let place = place.ok_or_else(|| within(format!("it reaches beyond its storage of {} bytes", whole.size)))?;
        let strides = entry.strides.filter(|strides| !is_contiguous(&entry.shape, strides));
        entries.insert((*name).to_owned(), Entry { offset: place.start, strides, ..entry });
    }
    if entries.is_empty()
        && let Some((Value::Text(name), _)) = items.iter().find(|(_, value)| pickle.dict(*value).is_some())
    {
        return Err(format!("its tensors are below `{name}`, expected them at the top: save that dictionary alone"));
    }
    Ok(entries)
}

/// A part of a place, by its first element and its number of elements.
fn part(whole: Place, first: u64, numel: u64, bytes: u64) -> Option<Place> {
    let (first, size) = (first.checked_mul(bytes)?, numel.checked_mul(bytes)?);
    let ends = first.checked_add(size).is_some_and(|end| end <= whole.size);
    // A tensor without any number reads none, wherever it is said to lie.
    (ends || size == 0).then(|| Place { start: whole.start.saturating_add(first), size })
}

/// Whether elements lie one behind the other, row by row.
fn is_contiguous(shape: &[i64], strides: &[i64]) -> bool {
    let mut expected = 1i64;
    shape.contains(&0)
        || shape.iter().zip(strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected = expected.saturating_mul(size);
            fits
        })
}

//! Files of weights in every form, against what PyTorch reads from them (`scripts/reference/torch_files.py`).

use std::fs;

use serde_json::Value;

use super::*;

fn torch_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch-files").join(name)
}

fn refusal(path: &Path) -> String {
    let error = open_file(path)
        .and_then(|entries| entries.values().map(Entry::read).collect::<Result<Vec<_>, _>>().map(|_| ()));
    let message = error.unwrap_err().to_string();
    assert!(message.starts_with(&path.display().to_string()) && !message.contains('\n'), "{message}");
    message
}

#[test]
fn every_form_of_torch_save_is_read_to_its_values() {
    let expected: Value = serde_json::from_str(&fs::read_to_string(torch_file("expected.json")).unwrap()).unwrap();
    for (file, count) in
        [("archive.bin", 20), ("archive-protocol-4.bin", 20), ("legacy.bin", 19), ("legacy-protocol-4.bin", 19)]
    {
        let entries = open_file(&torch_file(file)).unwrap();
        assert_eq!(entries.len(), count, "{file}");
        for (name, entry) in &entries {
            let (what, expected) = (format!("{file}: {name}"), &expected[name]);
            if let Format::Other(format) = &entry.format {
                assert!(["ByteStorage", "uint16"].contains(&format.as_str()), "{what}");
                let message = entry.read().unwrap_err().to_string();
                assert!(message.contains(&format!("numbers of type {format} are not supported")), "{message}");
                continue;
            }
            let tensor = entry.read().unwrap();
            assert!(tensor.is_contiguous(), "{what}");
            let shape: Vec<i64> = serde_json::from_value(expected["shape"].clone()).unwrap();
            assert_eq!(tensor.size(), shape, "{what}");
            let kind = match expected["type"].as_str().unwrap() {
                "float64" => Kind::Double,
                "float16" => Kind::Half,
                "bfloat16" => Kind::BFloat16,
                "int64" => Kind::Int64,
                _ => Kind::Float,
            };
            assert_eq!(tensor.kind(), kind, "{what}");
            let values: Vec<f64> = serde_json::from_value(expected["values"].clone()).unwrap();
            assert_eq!(Vec::<f64>::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap(), values, "{what}");
        }
    }
}

#[test]
fn a_view_of_a_storage_is_read_from_its_place() {
    let entries = open_file(&torch_file("legacy-view.bin")).unwrap();
    assert_eq!(Vec::<f32>::try_from(entries["viewed"].read().unwrap()).unwrap(), [3.0, 4.0]);
}

#[test]
fn what_is_no_state_dict_is_refused_by_name() {
    for (file, expected) in [
        ("beyond.bin", "tensor `w`: it reaches beyond its storage of 20 bytes"),
        ("beyond-by-offset.bin", "tensor `w`: it reaches beyond its storage of 20 bytes"),
        ("beyond-64-bits.bin", "tensor `w`: it reaches beyond its storage of 20 bytes"),
        ("beyond-legacy.bin", "tensor `w`: it reaches beyond its storage of 20 bytes"),
        ("nested.bin", "its tensors are below `state_dict`, expected them at the top"),
        ("module.bin", "an object of class `torch.nn.modules.linear.Linear`, expected a state dict alone"),
        ("list.bin", "it holds something else than a state dict"),
        ("quantized.bin", "`torch._utils._rebuild_qtensor` does not belong to a state dict; it was not called"),
        ("sparse.bin", "`torch.serialization._get_layout` does not belong to a state dict; it was not called"),
        ("big-endian.bin", "its byte order is `big`, expected little"),
        ("big-endian-legacy.bin", "its byte order is big, expected little"),
    ] {
        let message = refusal(&torch_file(file));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn what_torch_save_does_not_write_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    let tar = [&[0; 257][..], b"ustar\x0000", &[0; 248]].concat();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    for (bytes, expected) in [
        (&tar[..], "a tar archive of the first PyTorch versions"),
        (pointer, "a pointer of Git LFS, expected the file itself: run `git lfs pull`"),
        (b"<!DOCTYPE html>", "it begins as none that torch.save writes"),
        (b"\x80\x02K\x01.", "it does not begin with PyTorch's magic number"),
        (b"", "not a whole PyTorch archive"),
    ] {
        fs::write(&path, bytes).unwrap();
        assert!(refusal(&path).contains(expected), "{}", refusal(&path));
    }
    let path = folder.path().join("model.safetensors");
    fs::write(&path, pointer).unwrap();
    assert!(refusal(&path).contains("a pointer of Git LFS"));
}

#[test]
fn a_damaged_legacy_file_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    let bytes = fs::read(torch_file("legacy.bin")).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        refusal(&path);
    }
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1 << (position % 8);
        fs::write(&path, &damaged).unwrap();
        // A changed number or name is no error.
        if let Err(error) = open_file(&path) {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
    }
}

#[test]
fn a_safetensors_header_is_what_the_format_allows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let tensor = |name: &str, start: usize, end: usize| {
        format!(r#""{name}":{{"dtype":"F32","shape":[{}],"data_offsets":[{start},{end}]}}"#, (end - start) / 4)
    };
    let write = |header: &str, data: usize| {
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data][..]].concat();
        fs::write(&path, bytes).unwrap();
    };
    let of = |tensors: &[String]| format!("{{{}}}", tensors.join(","));
    write(&of(&[tensor("b", 4, 8), tensor("a", 0, 4), r#""__metadata__":{"format":"pt"}"#.to_owned()]), 8);
    assert_eq!(open_file(&path).unwrap().keys().collect::<Vec<_>>(), ["a", "b"]);
    for (tensors, data, expected) in [
        (vec![tensor("a", 0, 4), tensor("a", 4, 8)], 8, "tensor \"a\" is there twice"),
        (vec![tensor("a", 0, 8), tensor("b", 4, 12)], 12, "invalid offset for tensor `b`"),
        (vec![tensor("a", 4, 8)], 8, "invalid offset for tensor `a`"),
        (vec![tensor("a", 0, 4)], 8, "bytes, expected"),
        (vec![tensor("a", 0, 8).replace("[2]", "[3]")], 8, "invalid shape"),
        (vec![tensor("a", 0, 4).replace("[1]", &format!("[{}]", ["1"; 65].join(",")))], 4, "at most 64 dimensions"),
    ] {
        write(&of(&tensors), data);
        let message = refusal(&path).to_lowercase();
        assert!(message.contains(expected), "{message}");
    }
    let claimed = |bytes: u64| fs::write(&path, [&bytes.to_le_bytes()[..], b"{}"].concat()).unwrap();
    claimed(3);
    assert!(refusal(&path).contains("its header claims 3 bytes of 10"));
    fs::write(&path, 150_000_000u64.to_le_bytes()).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(200_000_000).unwrap();
    assert!(refusal(&path).contains("of at most 100000000"), "{}", refusal(&path));
}

//! Pickles of every kind, and hostile ones.

use super::*;

fn refusal(bytes: &[u8]) -> String {
    parse(bytes).unwrap_err()
}

#[test]
fn a_call_into_the_system_is_refused_by_name() {
    // python: pickle.dumps(type("X", (), {"__reduce__": lambda self: (os.system, ("true",))})(), protocol=2)
    let bytes = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.";
    assert_eq!(refusal(bytes), "byte 32: `posix.system` does not belong to a state dict; it was not called");
    // the same by torch's constructor of tensors with attributes
    let bytes = b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cposix\nsystem\nctorch\nTensor\n\x8c\x04true\x85)tR.";
    assert!(refusal(bytes).contains("`posix.system` does not belong to a state dict"), "{}", refusal(bytes));
}

#[test]
fn an_object_of_a_class_is_refused_by_name() {
    // python: pickle.dumps(fractions.Fraction.__new__(fractions.Fraction), protocol=2), cut to its object
    let bytes = b"\x80\x02cfractions\nFraction\n)\x81.";
    assert!(refusal(bytes).contains("an object of class `fractions.Fraction`, expected a state dict alone"));
}

#[test]
fn integers_of_every_width_keep_their_value() {
    // python: pickle.dumps((1, 300, -2, 1 << 40, -(1 << 40)), protocol=2)
    let bytes =
        b"\x80\x02(K\x01M,\x01J\xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x06\x00\x00\x00\x00\x00\xfftq\x00.";
    let (pickle, size) = parse(bytes).unwrap();
    assert_eq!(pickle.tuple(pickle.root).unwrap(), [1, 300, -2, 1 << 40, -(1 << 40)].map(Value::Int));
    assert_eq!(size, bytes.len());
}

#[test]
fn a_dictionary_of_python_2_has_its_items() {
    // python2: pickle.dumps(collections.OrderedDict([("a", 1)]), protocol=2)
    let bytes = b"\x80\x02ccollections\nOrderedDict\nq\x00]q\x01]q\x02(U\x01aq\x03K\x01ea\x85q\x04Rq\x05.";
    let (pickle, _) = parse(bytes).unwrap();
    assert_eq!(pickle.dict(pickle.root).unwrap(), [(Value::Text("a"), Value::Int(1))]);
}

#[test]
fn references_do_not_multiply_a_value() {
    // ((x, x), (x, x)) and so on, 40 times doubled in 200 bytes
    let mut bytes = b"\x80\x02)q\x00".to_vec();
    for _ in 0..40 {
        bytes.extend(b"h\x00h\x00\x86q\x00");
    }
    bytes.push(b'.');
    let (pickle, _) = parse(&bytes).unwrap();
    assert_eq!(pickle.held, 81);
}

#[test]
fn what_a_pickle_may_hold_is_bounded() {
    let many = |opcodes: &[u8]| [b"\x80\x02}]", opcodes.repeat(1 << 20).as_slice(), b"."].concat();
    for opcodes in [&b"N"[..], b")", b"]", b"}", b"N\x85", b"h\x00", b"c\n\n"] {
        let found = refusal(&[b"\x80\x02Nq\x00", &many(opcodes)[2..]].concat());
        assert!(found.contains("more than 65536 values at once"), "{found}");
    }
    assert!(refusal(&many(b"(")).contains("more than 65536 marks at once"));
    // A value that is put away is no longer on the stack, but held.
    for opcodes in [&b"Na"[..], b"(NNNNe", b")a", b"]a", b"}a", b"N\x85a"] {
        let found = refusal(&many(opcodes));
        assert!(found.contains("more than 524288 values") || found.contains("without their list"), "{found}");
    }
    let mut bytes = b"\x80\x02N".to_vec();
    (0..=1u32 << 20).for_each(|key| bytes.extend([b"r", &key.to_le_bytes()[..]].concat()));
    assert!(refusal(&bytes).contains("more than 524288 values"));
}

#[test]
fn a_deep_nesting_takes_no_stack() {
    let tuples = [b"\x80\x02)".to_vec(), vec![0x85; 500_000], b".".to_vec()].concat();
    assert!(parse(&tuples).is_ok());
    let lists = [b"\x80\x02".to_vec(), b"]".repeat(60_000), b"a".repeat(59_999), b".".to_vec()].concat();
    assert!(parse(&lists).is_ok());
}

#[test]
fn no_prefix_of_a_pickle_panics() {
    let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01X\x01\x00\x00\x00bq\x02K\x02u.";
    assert!(parse(bytes).is_ok());
    for end in 0..bytes.len() {
        assert!(parse(&bytes[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn no_changed_byte_of_a_pickle_panics() {
    // python: pickle of {"a": a tensor} as torch.save(…, pickle_protocol=4) writes it, shortened
    let bytes: &[u8] =
        b"\x80\x04}\x94\x8c\x01a\x94ctorch._utils\n_rebuild_tensor_v2\n((\x8c\x07storage\x94ctorch\nFloatStorage\n\
        \x8c\x010\x94\x8c\x03cpu\x94K\x04tQK\x00K\x02K\x02\x86K\x02K\x01\x86\x89ccollections\nOrderedDict\n)RtRs.";
    assert!(parse(bytes).is_ok(), "{:?}", parse(bytes).map(|_| ()));
    for position in 0..bytes.len() {
        for byte in 0..=255 {
            let mut damaged = bytes.to_vec();
            damaged[position] = byte;
            let _ = parse(&damaged);
        }
    }
}

//! The part of Python's pickle format that a state dict uses, parsed as data: nothing is imported, nothing is called.
//!
//! Source: CPython's `pickletools.py` for the opcodes; `torch/_utils.py` and `torch/_tensor.py` of PyTorch 2.11 for what a
//! tensor looks like.

use std::collections::BTreeMap;

/// Values that containers, the memo and the stack may hold together. A tensor takes about thirty; a pickle of a few
/// megabytes could otherwise ask for a hundred times its size.
const MAX_VALUES: usize = 1 << 19;

/// Values on the stack: Python writes a dictionary in batches of 1000 items.
const MAX_STACK: usize = 1 << 16;

/// Dimensions of a tensor, as in PyTorch.
const MAX_DIMENSIONS: usize = 64;

/// A value of the pickle. Everything larger lies in [`Pickle`], so that a reference costs as much as a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// What the weights do not need: None, floats.
    Other,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, little-endian.
    Long(&'a [u8]),
    Text(&'a str),
    Tuple(Span),
    List(usize),
    Dict(usize),
    /// The name of a Python object; it is never imported.
    Global(usize),
    Storage(usize),
    Tensor(usize),
}

/// A tuple's place among all tuples' items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

/// Where a tensor's numbers are kept: `("storage", torch.FloatStorage, key, location, numel, view)`.
#[derive(Debug)]
pub(super) struct Storage<'a> {
    /// `FloatStorage`, say.
    pub(super) class: &'a str,
    pub(super) key: &'a str,
    /// Elements of the storage.
    pub(super) numel: u64,
    /// First element and number of elements of the part that is meant, in files of the first PyTorch versions.
    pub(super) view: Option<(u64, u64)>,
}

/// Where a tensor lies within its storage; offset and strides in elements.
#[derive(Debug)]
pub(super) struct Tensor<'a> {
    pub(super) storage: usize,
    pub(super) offset: u64,
    shape: Span,
    strides: Span,
    /// The name of its type, where the storage's class does not tell.
    pub(super) dtype: Option<&'a str>,
}

/// A parsed pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) root: Value<'a>,
    items: Vec<Value<'a>>, // of all tuples
    lists: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    globals: Vec<(&'a str, &'a str)>, // module and name
    storages: Vec<Storage<'a>>,
    tensors: Vec<Tensor<'a>>,
    held: usize,
}

/// Parses a pickle of protocol 2 to 5 from the start of `bytes`, and tells how many of them it has.
pub(super) fn parse(bytes: &[u8]) -> Result<(Pickle<'_>, usize), String> {
    let pickle = Pickle {
        root: Value::Other,
        items: Vec::new(),
        lists: Vec::new(),
        dicts: Vec::new(),
        globals: Vec::new(),
        storages: Vec::new(),
        tensors: Vec::new(),
        held: 0,
    };
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new(), pickle };
    loop {
        let at = machine.at;
        let located = |what| format!("byte {at}: {what}");
        let opcode = machine.byte().map_err(located)?;
        if opcode == b'.' {
            machine.pickle.root = machine.pop().map_err(located)?;
            return Ok((machine.pickle, machine.at));
        }
        machine.step(opcode).map_err(located)?;
    }
}

impl<'a> Pickle<'a> {
    pub(super) fn dict(&self, value: Value<'_>) -> Option<&[(Value<'a>, Value<'a>)]> {
        if let Value::Dict(index) = value { Some(&self.dicts[index]) } else { None }
    }

    pub(super) fn list(&self, value: Value<'_>) -> Option<&[Value<'a>]> {
        if let Value::List(index) = value { Some(&self.lists[index]) } else { None }
    }

    pub(super) fn storages(&self) -> &[Storage<'a>] {
        &self.storages
    }

    pub(super) fn tensor(&self, value: Value<'_>) -> Option<&Tensor<'a>> {
        if let Value::Tensor(index) = value { Some(&self.tensors[index]) } else { None }
    }

    pub(super) fn shape(&self, tensor: &Tensor<'_>) -> Vec<i64> {
        self.integers(tensor.shape)
    }

    pub(super) fn strides(&self, tensor: &Tensor<'_>) -> Vec<i64> {
        self.integers(tensor.strides)
    }

    fn integers(&self, span: Span) -> Vec<i64> {
        let integers = self.span(span).iter().map(|item| if let Value::Int(value) = item { *value } else { 0 });
        integers.collect() // `sizes` let nothing else through
    }

    fn span(&self, span: Span) -> &[Value<'a>] {
        &self.items[span.start as usize..][..span.len as usize]
    }

    fn tuple(&self, value: Value<'_>) -> Option<&[Value<'a>]> {
        if let Value::Tuple(span) = value { Some(self.span(span)) } else { None }
    }

    /// Counts values that are kept until the pickle is parsed.
    fn hold(&mut self, count: usize) -> Result<(), String> {
        self.held += count;
        if self.held > MAX_VALUES {
            Err(format!("more than {MAX_VALUES} values, more than a state dict has"))
        } else {
            Ok(())
        }
    }

    fn new_dict(&mut self) -> Result<Value<'a>, String> {
        self.hold(1)?;
        self.dicts.push(Vec::new());
        Ok(Value::Dict(self.dicts.len() - 1))
    }

    fn new_list(&mut self) -> Result<Value<'a>, String> {
        self.hold(1)?;
        self.lists.push(Vec::new());
        Ok(Value::List(self.lists.len() - 1))
    }

    fn new_tuple(&mut self, items: &[Value<'a>]) -> Result<Value<'a>, String> {
        self.hold(items.len())?;
        let span = Span { start: self.items.len() as u32, len: items.len() as u32 }; // both below MAX_VALUES
        self.items.extend_from_slice(items);
        Ok(Value::Tuple(span))
    }

    fn new_global(&mut self, module: &'a str, name: &'a str) -> Result<Value<'a>, String> {
        self.hold(1)?;
        self.globals.push((module, name));
        Ok(Value::Global(self.globals.len() - 1))
    }

    fn new_storage(&mut self, id: Value<'a>) -> Result<Value<'a>, String> {
        self.hold(1)?;
        let size = |value: &i64| u64::try_from(*value).map_err(|_| "a storage of negative size");
        let (class, key, numel, view) = match self.tuple(id) {
            Some([Value::Text("storage"), Value::Global(class), Value::Text(key), _, Value::Int(numel), view @ ..]) => {
                (self.globals[*class].1, *key, size(numel)?, view)
            }
            _ => return Err("a persistent id that is no storage".to_owned()),
        };
        let view = match view {
            [] | [Value::Other] => None,
            [view] => match self.tuple(*view) {
                Some([_, Value::Int(first), Value::Int(numel)]) => Some((size(first)?, size(numel)?)),
                _ => return Err("a storage's view that is none".to_owned()),
            },
            _ => return Err("a persistent id that is no storage".to_owned()),
        };
        self.storages.push(Storage { class, key, numel, view });
        Ok(Value::Storage(self.storages.len() - 1))
    }

    /// What a state dict calls: the constructors of tensors, parameters and ordered dictionaries. Any other call is
    /// refused.
    fn build(&mut self, callable: Value<'a>, arguments: Value<'a>) -> Result<Value<'a>, String> {
        let (Value::Global(callable), Value::Tuple(arguments)) = (callable, arguments) else {
            return Err("a call of what is no name".to_owned());
        };
        match (self.globals[callable], self.span(arguments)) {
            (("collections", "OrderedDict"), []) => self.new_dict(),
            // Python 2 gives the items at once.
            (("collections", "OrderedDict"), [items]) => self.dict_of(*items),
            (("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state"), arguments) => match arguments {
                [tensor @ Value::Tensor(_), ..] => Ok(*tensor),
                _ => Err("a parameter without data".to_owned()),
            },
            // A tensor that carries attributes of Python.
            (
                ("torch._tensor", "_rebuild_from_type_v2"),
                [Value::Global(function), Value::Global(class), Value::Tuple(arguments), ..],
            ) if matches!(
                self.globals[*class],
                ("torch", "Tensor") | ("torch._tensor", "Tensor") | ("torch.nn.parameter", "Parameter")
            ) =>
            {
                self.new_tensor(*function, *arguments)
            }
            _ => self.new_tensor(callable, arguments),
        }
    }

    fn new_tensor(&mut self, function: usize, arguments: Span) -> Result<Value<'a>, String> {
        self.hold(2)?;
        let (module, name) = self.globals[function];
        if module != "torch._utils" || !["_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"].contains(&name)
        {
            return Err(format!("`{module}.{name}` does not belong to a state dict; it was not called"));
        }
        let [Value::Storage(storage), Value::Int(offset), Value::Tuple(shape), Value::Tuple(strides), rest @ ..] =
            self.span(arguments)
        else {
            return Err("a tensor that is not stored as one".to_owned());
        };
        // Whether it requires a gradient, its hooks, and for the third form its type stand before the metadata.
        let (dtype, metadata) = match (name, rest) {
            ("_rebuild_tensor_v3", [_, _, Value::Global(dtype), metadata @ ..]) => {
                (Some(self.globals[*dtype].1), metadata)
            }
            ("_rebuild_tensor_v3", _) => return Err("a tensor without its type".to_owned()),
            (_, [_, _, metadata @ ..]) => (None, metadata),
            (_, rest) => (None, rest),
        };
        if metadata.iter().any(|metadata| self.dict(*metadata).is_some_and(|marks| !marks.is_empty())) {
            return Err("a tensor that is stored as the negation or conjugate of another".to_owned());
        }
        let offset = u64::try_from(*offset).map_err(|_| "a negative offset")?;
        let (storage, shape, strides) = (*storage, self.sizes(*shape)?, self.sizes(*strides)?);
        if shape.len != strides.len {
            return Err("a tensor with as many strides as it has no dimensions".to_owned());
        }
        self.tensors.push(Tensor { storage, offset, shape, strides, dtype });
        Ok(Value::Tensor(self.tensors.len() - 1))
    }

    fn sizes(&self, span: Span) -> Result<Span, String> {
        let is_size = |item: &Value<'_>| matches!(item, Value::Int(value) if *value >= 0);
        match span.len as usize <= MAX_DIMENSIONS && self.span(span).iter().all(is_size) {
            true => Ok(span),
            false => Err("a shape that is no list of sizes".to_owned()),
        }
    }

    fn dict_of(&mut self, items: Value<'a>) -> Result<Value<'a>, String> {
        let mut pairs = Vec::new();
        for item in self.list(items).ok_or("a dictionary of what is no list")? {
            match self.list(*item).or_else(|| self.tuple(*item)) {
                Some([key, value]) => pairs.push((*key, *value)),
                _ => return Err("a dictionary of what are no pairs".to_owned()),
            }
        }
        self.hold(2 * pairs.len())?;
        let dict = self.new_dict()?;
        if let Some(new) = self.dicts.last_mut() {
            *new = pairs;
        }
        Ok(dict)
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    marks: Vec<usize>, // heights of the stack
    memo: BTreeMap<u32, Value<'a>>,
    pickle: Pickle<'a>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8) -> Result<(), String> {
        let value = match opcode {
            0x80 => return self.take(1).map(drop), // PROTO
            0x95 => return self.take(8).map(drop), // FRAME
            b'(' => return self.mark(),
            b'N' => Value::Other,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'G' => {
                self.take(8)?; // BINFLOAT
                Value::Other
            }
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()), // BININT
            b'K' => Value::Int(self.byte()?.into()),                      // BININT1
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()), // BININT2
            0x8a => self.long()?,
            b'X' | b'T' => {
                let length = u32::from_le_bytes(self.array()?) as usize; // BINUNICODE, and BINSTRING of Python 2
                self.text(length)?
            }
            0x8c | b'U' => {
                let length = self.byte()?.into(); // SHORT_BINUNICODE, and SHORT_BINSTRING of Python 2
                self.text(length)?
            }
            b')' => self.pickle.new_tuple(&[])?,
            b'}' => self.pickle.new_dict()?,
            b']' => self.pickle.new_list()?,
            b't' => {
                let height = self.pop_mark()?; // TUPLE
                self.tuple_above(height)?
            }
            0x85..=0x87 => {
                let height = self.height_below(usize::from(opcode - 0x84))?; // TUPLE1, TUPLE2, TUPLE3
                self.tuple_above(height)?
            }
            b'a' => {
                let height = self.height_below(1)?; // APPEND
                return self.extend_list(height);
            }
            b'e' => {
                let height = self.pop_mark()?; // APPENDS
                return self.extend_list(height);
            }
            b's' => {
                let height = self.height_below(2)?; // SETITEM
                return self.extend_dict(height);
            }
            b'u' => {
                let height = self.pop_mark()?; // SETITEMS
                return self.extend_dict(height);
            }
            b'q' => {
                let key = self.byte()?.into(); // BINPUT
                return self.memoize(key);
            }
            b'r' => {
                let key = u32::from_le_bytes(self.array()?); // LONG_BINPUT
                return self.memoize(key);
            }
            0x94 => return self.memoize(self.memo.len() as u32), // MEMOIZE
            b'h' => {
                let key = self.byte()?.into(); // BINGET
                self.recall(key)?
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?); // LONG_BINGET
                self.recall(key)?
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?); // GLOBAL
                self.pickle.new_global(module, name)?
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.pickle.new_global(module, name)?, // STACK_GLOBAL
                _ => return Err("a global without a name".to_owned()),
            },
            b'Q' => {
                let id = self.pop()?; // BINPERSID
                self.pickle.new_storage(id)?
            }
            b'R' => {
                let (arguments, callable) = (self.pop()?, self.pop()?); // REDUCE
                self.pickle.build(callable, arguments)?
            }
            0x81 => {
                let (_, class) = (self.pop()?, self.pop()?); // NEWOBJ
                return Err(self.refused_object(class));
            }
            b'b' => return self.pop().map(drop), // BUILD: the state of an object that we do not build
            _ => return Err(format!("opcode {opcode:#04x} does not belong to a state dict")),
        };
        if self.stack.len() == MAX_STACK {
            return Err(format!("more than {MAX_STACK} values at once, more than a state dict has"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let taken = self.bytes[self.at..].get(..count).ok_or("the pickle ends early")?;
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let length = self.bytes[self.at..].iter().position(|&byte| byte == b'\n').ok_or("the pickle ends early")?;
        let Value::Text(line) = self.text(length)? else { return Err("a name that is no text".to_owned()) };
        self.at += 1;
        Ok(line)
    }

    fn text(&mut self, length: usize) -> Result<Value<'a>, String> {
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| "a text that is not UTF-8")?;
        Ok(Value::Text(text))
    }

    /// LONG1, a little-endian two's complement integer.
    fn long(&mut self) -> Result<Value<'a>, String> {
        let length = self.byte()?.into();
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut extended = [if negative { 0xff } else { 0 }; 8];
        let Some(low) = extended.get_mut(..length) else { return Ok(Value::Long(bytes)) };
        low.copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(extended)))
    }

    fn mark(&mut self) -> Result<(), String> {
        if self.marks.len() == MAX_STACK {
            return Err(format!("more than {MAX_STACK} marks at once, more than a state dict has"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop(&mut self) -> Result<Value<'a>, String> {
        self.stack.pop().ok_or_else(|| "an empty stack".to_owned())
    }

    fn height_below(&self, count: usize) -> Result<usize, String> {
        self.stack.len().checked_sub(count).ok_or_else(|| "an empty stack".to_owned())
    }

    fn pop_mark(&mut self) -> Result<usize, String> {
        self.marks.pop().filter(|&height| height <= self.stack.len()).ok_or_else(|| "a mark is missing".to_owned())
    }

    fn tuple_above(&mut self, height: usize) -> Result<Value<'a>, String> {
        let tuple = self.pickle.new_tuple(&self.stack[height..])?;
        self.stack.truncate(height);
        Ok(tuple)
    }

    /// Moves the values above `height` into the list below them.
    fn extend_list(&mut self, height: usize) -> Result<(), String> {
        let Some(Value::List(list)) = self.stack[..height].last() else {
            return Err("items without their list".to_owned());
        };
        self.pickle.hold(self.stack.len() - height)?;
        self.pickle.lists[*list].extend_from_slice(&self.stack[height..]);
        self.stack.truncate(height);
        Ok(())
    }

    /// The same for the pairs of a dictionary.
    fn extend_dict(&mut self, height: usize) -> Result<(), String> {
        let Some(Value::Dict(dict)) = self.stack[..height].last() else {
            return Err("items without their dictionary".to_owned());
        };
        self.pickle.hold(self.stack.len() - height)?;
        let (pairs, rest) = self.stack[height..].as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a key without its value".to_owned());
        }
        self.pickle.dicts[*dict].extend(pairs.iter().map(|[key, value]| (*key, *value)));
        self.stack.truncate(height);
        Ok(())
    }

    fn memoize(&mut self, key: u32) -> Result<(), String> {
        let value = *self.stack.last().ok_or("an empty stack")?;
        if self.memo.insert(key, value).is_none() {
            self.pickle.hold(1)?;
        }
        Ok(())
    }

    fn recall(&self, key: u32) -> Result<Value<'a>, String> {
        self.memo.get(&key).copied().ok_or_else(|| "a reference to nothing".to_owned())
    }

    fn refused_object(&self, class: Value<'_>) -> String {
        match class {
            Value::Global(class) => {
                let (module, name) = self.pickle.globals[class];
                format!(
                    "an object of class `{module}.{name}`, expected a state dict alone (model.state_dict()); it was not made"
                )
            }
            _ => "an object of what is no class".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
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
        let bytes =
            b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\ncposix\nsystem\nctorch\nTensor\n\x8c\x04true\x85)tR.";
        assert!(refusal(&[&bytes[..2], b"(", &bytes[2..]].concat()).contains("a call of what is no name"));
        let bytes =
            b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cposix\nsystem\nctorch\nTensor\n\x8c\x04true\x85)tR.";
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
        let bytes = b"\x80\x02(K\x01M,\x01J\xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x06\x00\x00\x00\x00\x00\xfftq\x00.";
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
        assert_eq!(pickle.items.len(), 80);
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
}

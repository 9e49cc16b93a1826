//! The part of Python's pickle format that a state dict uses, parsed as data: nothing is imported, nothing is called.
//!
//! Source: CPython's `pickletools.py` for the opcodes; PyTorch's `torch/_utils.py` for what a tensor looks like.

use std::{collections::HashMap, rc::Rc};

/// A value of the pickle.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// What the encoder's weights do not need: None, booleans, floats, hooks, classes' states.
    Other,
    Int(i64),
    Text(Rc<str>),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// A name of a Python object, `module` and `name`; named only, never imported.
    Global(Rc<str>, Rc<str>),
    /// A storage by its type and its key within the archive.
    Storage {
        storage_type: Rc<str>,
        key: Rc<str>,
    },
    Tensor(Tensor),
}

impl Value {
    /// Levels of containers, at most [`MAX_DEPTH`].
    fn depth(&self) -> usize {
        match self {
            Value::Tuple(items) | Value::List(items) => 1 + items.iter().map(Value::depth).max().unwrap_or(0),
            Value::Dict(items) => {
                1 + items.iter().map(|(key, value)| key.depth().max(value.depth())).max().unwrap_or(0)
            }
            _ => 0,
        }
    }
}

/// Where a tensor lies within its storage; offset and strides in elements.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) storage_type: Rc<str>,
    pub(super) storage_key: Rc<str>,
    pub(super) storage_offset: u64,
    pub(super) shape: Vec<i64>,
    pub(super) strides: Vec<i64>,
}

/// Parses a pickle of protocol 2 to 5.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        let at = machine.at;
        let opcode = machine.byte().map_err(|what| format!("data.pkl, byte {at}: {what}"))?;
        if opcode == b'.' {
            return machine.pop();
        }
        machine.step(opcode).map_err(|what| format!("data.pkl, byte {at}: {what}"))?;
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>, // heights of the stack
    memo: HashMap<u32, Value>,
}

impl Machine<'_> {
    fn step(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            0x80 => drop(self.take(1)?), // PROTO
            0x95 => drop(self.take(8)?), // FRAME
            b'(' => self.marks.push(self.stack.len()),
            b'N' | 0x88 | 0x89 => self.stack.push(Value::Other), // NONE, NEWTRUE, NEWFALSE
            b'G' => {
                self.take(8)?; // BINFLOAT
                self.stack.push(Value::Other);
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?); // BININT
                self.stack.push(Value::Int(value.into()));
            }
            b'K' => {
                let value = self.byte()?; // BININT1
                self.stack.push(Value::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?); // BININT2
                self.stack.push(Value::Int(value.into()));
            }
            0x8a => {
                let length = self.byte()?.into(); // LONG1
                self.long(length)?;
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?) as usize; // BINUNICODE
                self.text(length)?;
            }
            0x8c => {
                let length = self.byte()?.into(); // SHORT_BINUNICODE
                self.text(length)?;
            }
            b')' => self.stack.push(Value::Tuple(Vec::new())),
            b'}' => self.stack.push(Value::Dict(Vec::new())),
            b']' => self.stack.push(Value::List(Vec::new())),
            b't' => {
                let items = shallow(self.pop_mark()?)?; // TUPLE
                self.stack.push(Value::Tuple(items));
            }
            0x85..=0x87 => {
                let items = shallow(self.pop_many(usize::from(opcode - 0x84))?)?; // TUPLE1, TUPLE2, TUPLE3
                self.stack.push(Value::Tuple(items));
            }
            b'a' => {
                let item = self.pop()?; // APPEND
                self.extend_list(vec![item])?;
            }
            b'e' => {
                let items = self.pop_mark()?; // APPENDS
                self.extend_list(items)?;
            }
            b's' => {
                let pair = self.pop_many(2)?; // SETITEM
                self.extend_dict(pair)?;
            }
            b'u' => {
                let items = self.pop_mark()?; // SETITEMS
                self.extend_dict(items)?;
            }
            b'q' => {
                let key = self.byte()?.into(); // BINPUT
                self.memoize(key)?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.array()?); // LONG_BINPUT
                self.memoize(key)?;
            }
            0x94 => self.memoize(self.memo.len() as u32)?, // MEMOIZE
            b'h' => {
                let key = self.byte()?.into(); // BINGET
                self.recall(key)?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?); // LONG_BINGET
                self.recall(key)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?); // GLOBAL
                self.stack.push(Value::Global(module, name));
            }
            0x93 => match <[Value; 2]>::try_from(self.pop_many(2)?) {
                Ok([Value::Text(module), Value::Text(name)]) => self.stack.push(Value::Global(module, name)), // STACK_GLOBAL
                _ => return Err("a global without a name".to_owned()),
            },
            b'Q' => {
                let storage = storage(self.pop()?)?; // BINPERSID
                self.stack.push(storage);
            }
            b'R' => {
                let arguments = self.pop()?; // REDUCE
                let value = build(self.pop()?, arguments)?;
                self.stack.push(value);
            }
            b'b' => drop(self.pop()?), // BUILD: the state of an object that we do not build
            _ => return Err(format!("opcode {opcode:#04x} does not belong to a state dict")),
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len()).ok_or("the pickle ends early")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
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

    fn line(&mut self) -> Result<Rc<str>, String> {
        let length = self.bytes[self.at..].iter().position(|&byte| byte == b'\n').ok_or("the pickle ends early")?;
        let line = Rc::from(String::from_utf8_lossy(self.take(length)?));
        self.at += 1;
        Ok(line)
    }

    fn text(&mut self, length: usize) -> Result<(), String> {
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| "a text that is not UTF-8")?;
        let text = Value::Text(Rc::from(text));
        self.stack.push(text);
        Ok(())
    }

    /// A little-endian two's complement integer of up to 8 bytes.
    fn long(&mut self, length: usize) -> Result<(), String> {
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut extended = [if negative { 0xff } else { 0 }; 8];
        extended.get_mut(..length).ok_or("an integer beyond 64 bits")?.copy_from_slice(bytes);
        self.stack.push(Value::Int(i64::from_le_bytes(extended)));
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(|| "an empty stack".to_owned())
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>, String> {
        let height = self.stack.len().checked_sub(count).ok_or("an empty stack")?;
        Ok(self.stack.split_off(height))
    }

    fn pop_mark(&mut self) -> Result<Vec<Value>, String> {
        let height = self.marks.pop().filter(|&height| height <= self.stack.len()).ok_or("a mark is missing")?;
        Ok(self.stack.split_off(height))
    }

    fn extend_list(&mut self, items: Vec<Value>) -> Result<(), String> {
        let items = shallow(items)?;
        match self.stack.last_mut() {
            Some(Value::List(list)) => list.extend(items),
            Some(Value::Other) => {}
            _ => return Err("items without their list".to_owned()),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: Vec<Value>) -> Result<(), String> {
        let items = shallow(items)?;
        match self.stack.last_mut() {
            Some(Value::Dict(dict)) => {
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    dict.push((key, value));
                }
            }
            Some(Value::Other) => {}
            _ => return Err("items without their dictionary".to_owned()),
        }
        Ok(())
    }

    /// Remembers the top of the stack, if it is what a state dict refers back to: names, storages and shapes. None of
    /// them holds a container, so that references cannot multiply a value.
    fn memoize(&mut self, key: u32) -> Result<(), String> {
        let is_integer = |item: &Value| matches!(item, Value::Int(_));
        let value = match self.stack.last().ok_or("an empty stack")? {
            value @ (Value::Text(_) | Value::Global(..) | Value::Int(_) | Value::Storage { .. }) => value.clone(),
            value @ Value::Tuple(items) if items.len() <= 8 && items.iter().all(is_integer) => value.clone(),
            _ => Value::Other,
        };
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), String> {
        let value = self.memo.get(&key).cloned().ok_or("a reference to nothing")?;
        self.stack.push(value);
        Ok(())
    }
}

/// The deepest nesting of a state dict is 4: a dictionary in the metadata that is in a dictionary of attributes.
const MAX_DEPTH: usize = 8;

/// Refuses items that would make their container too deep: dropping one takes a stack frame per level.
fn shallow(items: Vec<Value>) -> Result<Vec<Value>, String> {
    match items.iter().all(|item| item.depth() < MAX_DEPTH) {
        true => Ok(items),
        false => Err(format!("containers nested more than {MAX_DEPTH} deep")),
    }
}

/// A persistent id: `("storage", torch.FloatStorage, key, location, elements)`.
fn storage(id: Value) -> Result<Value, String> {
    match id {
        Value::Tuple(items) => match items.as_slice() {
            [Value::Text(tag), Value::Global(_, storage_type), Value::Text(key), ..] if &**tag == "storage" => {
                Ok(Value::Storage { storage_type: storage_type.clone(), key: key.clone() })
            }
            _ => Err("a persistent id that is no storage".to_owned()),
        },
        _ => Err("a persistent id that is no storage".to_owned()),
    }
}

/// What a state dict calls: the constructors of tensors, parameters and ordered dictionaries. Any other call is refused.
fn build(callable: Value, arguments: Value) -> Result<Value, String> {
    let (Value::Global(module, name), Value::Tuple(arguments)) = (callable, arguments) else {
        return Err("a call of what is no name".to_owned());
    };
    match (&*module, &*name) {
        ("collections", "OrderedDict") => Ok(Value::Dict(Vec::new())),
        ("torch._utils", "_rebuild_parameter") => {
            arguments.into_iter().next().ok_or_else(|| "a parameter without data".to_owned())
        }
        ("torch._utils", "_rebuild_tensor_v2") => match arguments.as_slice() {
            [
                Value::Storage { storage_type, key },
                Value::Int(offset),
                Value::Tuple(shape),
                Value::Tuple(strides),
                ..,
            ] => Ok(Value::Tensor(Tensor {
                storage_type: storage_type.clone(),
                storage_key: key.clone(),
                storage_offset: u64::try_from(*offset).map_err(|_| "a negative offset")?,
                shape: integers(shape)?,
                strides: integers(strides)?,
            })),
            _ => Err("a tensor that is not stored as one".to_owned()),
        },
        _ => Err(format!("`{module}.{name}` does not belong to a state dict; it was not called")),
    }
}

fn integers(values: &[Value]) -> Result<Vec<i64>, String> {
    let integer = |value: &Value| match value {
        Value::Int(value) if *value >= 0 => Ok(*value),
        _ => Err("a shape that is no list of sizes".to_owned()),
    };
    values.iter().map(integer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_into_the_system_is_refused_by_name() {
        // python: pickle.dumps(type("X", (), {"__reduce__": lambda self: (os.system, ("true",))})(), protocol=2)
        let bytes = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.";
        assert_eq!(
            parse(bytes).unwrap_err(),
            "data.pkl, byte 32: `posix.system` does not belong to a state dict; it was not called"
        );
    }

    #[test]
    fn integers_of_every_width_keep_their_value() {
        // python: pickle.dumps((1, 300, -2, 1 << 40, -(1 << 40)), protocol=2)
        let bytes = b"\x80\x02(K\x01M,\x01J\xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x06\x00\x00\x00\x00\x00\xfftq\x00.";
        let expected = [1, 300, -2, 1 << 40, -(1 << 40)].map(Value::Int).to_vec();
        assert_eq!(parse(bytes), Ok(Value::Tuple(expected)));
    }

    #[test]
    fn references_do_not_multiply_a_value() {
        // ((x, x), (x, x)) and so on, 40 times doubled in 200 bytes
        let mut bytes = b"\x80\x02)q\x00".to_vec();
        for _ in 0..40 {
            bytes.extend(b"h\x00h\x00\x86q\x00");
        }
        bytes.push(b'.');
        assert!(parse(&bytes).is_ok());
    }

    #[test]
    fn a_deep_nesting_is_refused() {
        for bytes in
            [[b")".to_vec(), vec![0x85; 1_000_000]].concat(), [vec![b']'; 1_000_000], vec![b'a'; 999_999]].concat()]
        {
            assert!(parse(&[&b"\x80\x02"[..], &bytes, b"."].concat()).unwrap_err().contains("nested more than 8 deep"));
        }
    }

    #[test]
    fn no_prefix_of_a_pickle_panics() {
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01X\x01\x00\x00\x00bq\x02K\x02u.";
        assert!(parse(bytes).is_ok());
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err(), "{end} bytes");
        }
    }
}

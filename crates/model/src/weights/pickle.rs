//! The part of Python's pickle format that a state dict uses, parsed as data: nothing is imported, nothing is called.
//!
//! Source: CPython's `pickletools.py` for the opcodes.

use std::collections::BTreeMap;

use super::objects::{Pickle, Value};

/// Values on the stack: Python writes a dictionary in batches of 1000 items.
const MAX_STACK: usize = 1 << 16;

/// Parses a pickle of protocol 2 to 5 from the start of `bytes`, and tells how many of them it has.
pub(super) fn parse(bytes: &[u8]) -> Result<(Pickle<'_>, usize), String> {
    let mut machine = Machine {
        bytes,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        pickle: Pickle::default(),
    };
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
        self.pickle.extend_list(*list, &self.stack[height..])?;
        self.stack.truncate(height);
        Ok(())
    }

    /// The same for the pairs of a dictionary.
    fn extend_dict(&mut self, height: usize) -> Result<(), String> {
        let Some(Value::Dict(dict)) = self.stack[..height].last() else {
            return Err("items without their dictionary".to_owned());
        };
        self.pickle.extend_dict(*dict, &self.stack[height..])?;
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
                let (module, name) = self.pickle.name(class);
                format!(
                    "an object of class `{module}.{name}`, expected a state dict alone (model.state_dict()); it was not made"
                )
            }
            _ => "an object of what is no class".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;

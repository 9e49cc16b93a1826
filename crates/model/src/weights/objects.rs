//! What a pickled state dict holds, and the few calls in it, which are told from any other by their names.
//!
//! Source: `torch/_utils.py`, `torch/_tensor.py` and `torch/serialization.py` of PyTorch 2.11 for what a tensor looks like.

/// Values that containers, the memo and the stack may hold together. A tensor takes about thirty; a pickle of a few
/// megabytes could otherwise ask for a hundred times its size.
const MAX_VALUES: usize = 1 << 19;

/// Dimensions of a tensor, as in PyTorch.
const MAX_DIMENSIONS: usize = 64;

/// A value of the pickle. Everything larger lies in [`Pickle`], so that a reference costs as much as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Value<'a> {
    /// What the weights do not need: None, floats.
    #[default]
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
#[derive(Debug, Default)]
pub(super) struct Pickle<'a> {
    pub(super) root: Value<'a>,
    items: Vec<Value<'a>>, // of all tuples
    lists: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    globals: Vec<(&'a str, &'a str)>, // module and name
    storages: Vec<Storage<'a>>,
    tensors: Vec<Tensor<'a>>,
    pub(super) held: usize,
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

    pub(super) fn tuple(&self, value: Value<'_>) -> Option<&[Value<'a>]> {
        if let Value::Tuple(span) = value { Some(self.span(span)) } else { None }
    }

    /// Counts values that are kept until the pickle is parsed.
    pub(super) fn hold(&mut self, count: usize) -> Result<(), String> {
        self.held += count;
        if self.held > MAX_VALUES {
            Err(format!("more than {MAX_VALUES} values, more than a state dict has"))
        } else {
            Ok(())
        }
    }

    /// Module and name of a Python object.
    pub(super) fn name(&self, global: usize) -> (&'a str, &'a str) {
        self.globals[global]
    }

    pub(super) fn extend_list(&mut self, list: usize, items: &[Value<'a>]) -> Result<(), String> {
        self.hold(items.len())?;
        self.lists[list].extend_from_slice(items);
        Ok(())
    }

    /// Adds keys and values, one after the other.
    pub(super) fn extend_dict(&mut self, dict: usize, items: &[Value<'a>]) -> Result<(), String> {
        self.hold(items.len())?;
        let (pairs, rest) = items.as_chunks::<2>();
        self.dicts[dict].extend(pairs.iter().map(|[key, value]| (*key, *value)));
        if rest.is_empty() { Ok(()) } else { Err("a key without its value".to_owned()) }
    }

    pub(super) fn new_dict(&mut self) -> Result<Value<'a>, String> {
        self.hold(1)?;
        self.dicts.push(Vec::new());
        Ok(Value::Dict(self.dicts.len() - 1))
    }

    pub(super) fn new_list(&mut self) -> Result<Value<'a>, String> {
        self.hold(1)?;
        self.lists.push(Vec::new());
        Ok(Value::List(self.lists.len() - 1))
    }

    pub(super) fn new_tuple(&mut self, items: &[Value<'a>]) -> Result<Value<'a>, String> {
        self.hold(items.len())?;
        let span = Span { start: self.items.len() as u32, len: items.len() as u32 }; // both below MAX_VALUES
        self.items.extend_from_slice(items);
        Ok(Value::Tuple(span))
    }

    pub(super) fn new_global(&mut self, module: &'a str, name: &'a str) -> Result<Value<'a>, String> {
        self.hold(1)?;
        self.globals.push((module, name));
        Ok(Value::Global(self.globals.len() - 1))
    }

    pub(super) fn new_storage(&mut self, id: Value<'a>) -> Result<Value<'a>, String> {
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
    pub(super) fn build(&mut self, callable: Value<'a>, arguments: Value<'a>) -> Result<Value<'a>, String> {
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

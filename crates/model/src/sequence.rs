//! What an encoder sees: the tokens of a text, or of two that are joined.

/// Token ids, of which the last may belong to a second text.
pub trait Sequence: Sync {
    /// All of them, special tokens included.
    fn ids(&self) -> &[i64];

    /// Place of the first token of type 1, behind the last token where there is none: the first one of the second text, as
    /// far as the model tells the two apart.
    fn second(&self) -> usize;
}

impl Sequence for Vec<i64> {
    fn ids(&self) -> &[i64] {
        self
    }

    fn second(&self) -> usize {
        self.len()
    }
}

impl Sequence for [i64] {
    fn ids(&self) -> &[i64] {
        self
    }

    fn second(&self) -> usize {
        self.len()
    }
}

impl<S: Sequence + ?Sized> Sequence for &S {
    fn ids(&self) -> &[i64] {
        (**self).ids()
    }

    fn second(&self) -> usize {
        (**self).second()
    }
}

/// The tokens of two texts, joined as the model's tokenizer joins them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenPair {
    /// Their ids, special tokens included.
    pub ids: Vec<i64>,
    /// Place of the first token of type 1; the number of tokens where there is none.
    pub second: usize,
    /// Whether the two had more tokens than the encoder takes.
    pub is_truncated: bool,
}

impl Sequence for TokenPair {
    fn ids(&self) -> &[i64] {
        &self.ids
    }

    fn second(&self) -> usize {
        self.second
    }
}

//! From token embeddings to one embedding per sentence.

use std::{fmt, ops::Range, str::FromStr};

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::torch::{PackedBatch, Packing, Run, Starts};

/// How a sentence's token embeddings become one: in one way, or in several whose results stand side by side. Source:
/// sentence-transformers, `Pooling`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pooling(u8); // a bit for each of `MODES`

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Cls,
    Max,
    Mean,
    MeanSqrtLen,
    WeightedMean,
    LastToken,
}

/// All of them in the order in which their results stand, with their names, and those of their flags in the older layout.
const MODES: [(Mode, &str, &str); 6] = [
    (Mode::Cls, "cls", "cls_token"),
    (Mode::Max, "max", "max_tokens"),
    (Mode::Mean, "mean", "mean_tokens"),
    (Mode::MeanSqrtLen, "mean_sqrt_len", "mean_sqrt_len_tokens"),
    (Mode::WeightedMean, "weightedmean", "weightedmean_tokens"),
    (Mode::LastToken, "lasttoken", "lasttoken"),
];

impl Pooling {
    /// The first token.
    pub const CLS: Self = Self(1);
    /// Maximum over all tokens, per dimension.
    pub const MAX: Self = Self(1 << 1);
    /// Mean over all tokens, special tokens included.
    pub const MEAN: Self = Self(1 << 2);
    /// Sum over all tokens, divided by the root of their number.
    pub const MEAN_SQRT_LEN: Self = Self(1 << 3);
    /// Mean in which a token counts as often as its place, from 1 on.
    pub const WEIGHTED_MEAN: Self = Self(1 << 4);
    /// The last token.
    pub const LAST_TOKEN: Self = Self(1 << 5);

    /// The older layout's names of the ways, in the order of their results.
    pub(crate) const FLAGS: [&str; 6] = {
        let mut flags = [""; 6];
        let mut index = 0;
        while index < flags.len() {
            flags[index] = MODES[index].2;
            index += 1;
        }
        flags
    };

    fn modes(self) -> impl Iterator<Item = (usize, Mode)> {
        let used = MODES.into_iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0);
        used.enumerate().map(|(place, (_, (mode, ..)))| (place, mode))
    }

    /// Numbers of a sentence's embedding, of tokens with `hidden` numbers.
    pub fn width(self, hidden: usize) -> usize {
        self.0.count_ones() as usize * hidden
    }

    /// The ways by their names, or by those that sentence-transformers has for them.
    pub(crate) fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut modes = 0;
        for name in names {
            let bit =
                MODES.iter().position(|(_, own, flag)| *own == name || *flag == name).ok_or_else(Self::expected)?;
            if modes >> bit != 0 {
                return Err(format!("{name} stands behind one that follows it: {}", Self::expected()));
            }
            modes |= 1 << bit;
        }
        if modes == 0 { Err(Self::expected()) } else { Ok(Self(modes)) }
    }

    fn expected() -> String {
        let names: Vec<&str> = MODES.iter().map(|(_, name, _)| *name).collect();
        format!("expected one of {}, or several in this order, joined by +", names.join(", "))
    }

    /// The flags of the older layout, and whether they are set.
    pub(crate) fn flags(self) -> impl Iterator<Item = (String, bool)> {
        MODES
            .into_iter()
            .enumerate()
            .map(move |(bit, (.., flag))| (format!("pooling_mode_{flag}"), self.0 & (1 << bit) != 0))
    }

    /// (tokens, hidden) in any number format to (sentences, width) in f32, in the caller's order. The first `skipped` tokens
    /// of each sentence do not count; of a sentence without any other, the embedding is zero.
    pub(crate) fn forward(self, hidden: &Tensor, batch: &PackedBatch, skipped: usize) -> Tensor {
        batch.restore_order(match &batch.packing {
            Packing::Runs { runs, .. } => {
                let run = |run: &Run| self.pool_dense(&run.view(hidden), skipped);
                Tensor::cat(&runs.iter().map(run).collect::<Vec<_>>(), 0)
            }
            Packing::Starts(starts) if skipped == 0 => {
                let tokens = hidden.to_kind(Kind::Float);
                Tensor::cat(&self.modes().map(|(_, mode)| mode.pool_packed(&tokens, starts)).collect::<Vec<_>>(), 1)
            }
            // Few models ask for it, and none of them is worth a kernel.
            Packing::Starts(_) => {
                let sentence = |tokens: &Range<i64>| {
                    self.pool_dense(&hidden.narrow(0, tokens.start, tokens.end - tokens.start).unsqueeze(0), skipped)
                };
                Tensor::cat(&batch.sentences().iter().map(sentence).collect::<Vec<_>>(), 0)
            }
        })
    }

    /// Sentences of equal length, (sentences, length, hidden), to (sentences, width).
    fn pool_dense(self, tokens: &Tensor, skipped: usize) -> Tensor {
        let (sentences, length, hidden) = tokens.size3().expect("sentences of tokens");
        let counted = length - skipped as i64;
        if counted <= 0 {
            return Tensor::zeros([sentences, self.width(hidden as usize) as i64], (Kind::Float, tokens.device()));
        }
        let tokens = tokens.narrow(1, length - counted, counted);
        Tensor::cat(&self.modes().map(|(_, mode)| mode.pool_dense(&tokens, skipped)).collect::<Vec<_>>(), 1)
    }

    /// The tokens of one sentence, (tokens, hidden), to its embedding, (width); of the first `skipped`, see
    /// [`Pooling::forward`].
    pub(crate) fn pool(self, tokens: &[f32], hidden: usize, skipped: usize, pooled: &mut [f32]) {
        match tokens.get(skipped * hidden..).filter(|counted| !counted.is_empty()) {
            Some(counted) => {
                for ((_, mode), pooled) in self.modes().zip(pooled.chunks_exact_mut(hidden)) {
                    mode.pool(counted, skipped, pooled);
                }
            }
            None => pooled.fill(0.0),
        }
    }

    /// Adds to the gradient of one sentence's tokens, (tokens, hidden), what that of its embedding, (width), makes of it.
    pub(crate) fn pool_backward(
        self,
        tokens: &[f32],
        hidden: usize,
        skipped: usize,
        grad_pooled: &[f32],
        grad: &mut [f32],
    ) {
        let first = (skipped * hidden).min(tokens.len());
        for ((_, mode), grad_pooled) in self.modes().zip(grad_pooled.chunks_exact(hidden)) {
            mode.pool_backward(&tokens[first..], skipped, grad_pooled, &mut grad[first..]);
        }
    }
}

impl Default for Pooling {
    fn default() -> Self {
        Self::MEAN
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = MODES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0);
        f.pad(&used.map(|(_, (_, name, _))| *name).collect::<Vec<_>>().join("+"))
    }
}

impl fmt::Debug for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pooling({self})")
    }
}

impl FromStr for Pooling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::named(text.split('+').map(str::trim))
    }
}

impl TryFrom<String> for Pooling {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|expected| format!("pooling `{text}`, {expected}"))
    }
}

impl From<Pooling> for String {
    fn from(pooling: Pooling) -> Self {
        pooling.to_string()
    }
}

impl Mode {
    /// Sentences of equal length, (sentences, length, hidden), to (sentences, hidden) in f32. Before each stand `skipped`
    /// tokens that do not count.
    fn pool_dense(self, tokens: &Tensor, skipped: usize) -> Tensor {
        let length = tokens.size()[1];
        match self {
            Mode::Mean => tokens.mean_dim(1, false, Kind::Float),
            Mode::Cls => tokens.select(1, 0).to_kind(Kind::Float),
            Mode::Max => tokens.amax(1, false).to_kind(Kind::Float),
            Mode::MeanSqrtLen => tokens.sum_dim_intlist(1, false, Kind::Float) / (length as f64).sqrt(),
            Mode::WeightedMean => {
                let places = Tensor::arange(length, (Kind::Float, tokens.device())) + (skipped + 1) as f64;
                let weights = &places / places.sum(Kind::Float);
                (tokens.to_kind(Kind::Float) * weights.view((1, -1, 1))).sum_dim_intlist(1, false, Kind::Float)
            }
            Mode::LastToken => tokens.select(1, -1).to_kind(Kind::Float),
        }
    }

    /// All sentences of (tokens, hidden) to (sentences, hidden).
    fn pool_packed(self, tokens: &Tensor, starts: &Starts) -> Tensor {
        let reduced = |tokens: &Tensor, how: &str| {
            Tensor::segment_reduce(tokens, how, Some(&starts.lengths), None, None, 0, true, 0.0)
        };
        let lengths = || starts.lengths.to_kind(Kind::Float).unsqueeze(1); // (sentences, 1)
        match self {
            Mode::Mean => reduced(tokens, "mean"),
            Mode::Cls => tokens.index_select(0, &starts.cu_seqlens.slice(0, 0, -1, 1)),
            // Not `segment_reduce`, whose gradient gives each of several largest the whole.
            Mode::Max => starts.pad(tokens, f64::NEG_INFINITY).amax(1, false),
            Mode::MeanSqrtLen => reduced(tokens, "mean") * lengths().sqrt(),
            Mode::WeightedMean => {
                let firsts = starts.cu_seqlens.slice(0, 0, -1, 1).to_kind(Kind::Int64);
                let firsts = firsts.repeat_interleave_self_tensor(&starts.lengths, 0, tokens.size()[0]);
                let places = Tensor::arange(tokens.size()[0], (Kind::Int64, tokens.device())) - firsts + 1;
                let sums = reduced(&(tokens * places.to_kind(Kind::Float).unsqueeze(1)), "sum");
                sums * 2.0 / (lengths() * (lengths() + 1.0))
            }
            Mode::LastToken => tokens.index_select(0, &(starts.cu_seqlens.slice(0, 1, i64::MAX, 1) - 1)),
        }
    }

    /// What each token counts for, of `count` behind `skipped` others, where its embedding is summed.
    fn weight(self, place: usize, count: usize, skipped: usize) -> f32 {
        match self {
            Mode::Cls => f32::from(u8::from(place == 0)),
            Mode::LastToken => f32::from(u8::from(place + 1 == count)),
            Mode::Max | Mode::Mean => 1.0 / count as f32,
            Mode::MeanSqrtLen => 1.0 / (count as f32).sqrt(),
            Mode::WeightedMean => {
                let last = 2 * skipped + count;
                (2 * (skipped + place + 1)) as f32 / (count as f32 * (last as f32 + 1.0))
            }
        }
    }

    /// See [`Pooling::pool`].
    fn pool(self, tokens: &[f32], skipped: usize, pooled: &mut [f32]) {
        let mut rows = tokens.chunks_exact(pooled.len());
        let count = rows.len();
        match self {
            Mode::Cls => pooled.copy_from_slice(rows.next().expect("a sentence has a token")),
            Mode::LastToken => pooled.copy_from_slice(rows.next_back().expect("a sentence has a token")),
            Mode::Max => {
                pooled.copy_from_slice(rows.next().expect("a sentence has a token"));
                rows.for_each(|row| {
                    pooled.iter_mut().zip(row).for_each(|(most, x)| *most = if *x <= *most { *most } else { *x })
                });
            }
            Mode::Mean | Mode::MeanSqrtLen => {
                pooled.fill(0.0);
                rows.for_each(|row| pooled.iter_mut().zip(row).for_each(|(sum, x)| *sum += x));
                let divisor = if self == Mode::Mean { count as f32 } else { (count as f32).sqrt() };
                pooled.iter_mut().for_each(|sum| *sum /= divisor);
            }
            Mode::WeightedMean => {
                pooled.fill(0.0);
                for (place, row) in rows.enumerate() {
                    let weight = self.weight(place, count, skipped);
                    pooled.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
                }
            }
        }
    }

    /// See [`Pooling::pool_backward`].
    fn pool_backward(self, tokens: &[f32], skipped: usize, grad_pooled: &[f32], grad: &mut [f32]) {
        let width = grad_pooled.len();
        if self == Mode::Max {
            for (column, x) in grad_pooled.iter().enumerate() {
                let values = tokens.iter().skip(column).step_by(width).copied();
                let largest = values.clone().fold(f32::NEG_INFINITY, f32::max);
                // Source: `torch.amax`, which shares the gradient evenly among equals.
                let equals = values.clone().filter(|value| *value == largest).count() as f32;
                for (token, _) in values.enumerate().filter(|(_, value)| *value == largest) {
                    grad[token * width + column] += x / equals;
                }
            }
            return;
        }
        let count = tokens.len() / width;
        for (place, grad) in grad.chunks_exact_mut(width).enumerate() {
            let weight = self.weight(place, count, skipped);
            if weight != 0.0 {
                grad.iter_mut().zip(grad_pooled).for_each(|(grad, x)| *grad += weight * x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_in_the_order_of_what_they_give() {
        for name in ["mean", "cls", "lasttoken", "cls+mean", "max+mean_sqrt_len+weightedmean"] {
            assert_eq!(name.parse::<Pooling>().unwrap().to_string(), name);
        }
        assert_eq!("max_tokens".parse::<Pooling>().unwrap(), Pooling::MAX);
        assert_eq!("cls+mean".parse::<Pooling>().unwrap().width(8), 16);
        for name in ["", "mode", "mean+cls", "mean+mean"] {
            let message = name.parse::<Pooling>().unwrap_err();
            assert!(
                message.contains("expected one of cls, max, mean, mean_sqrt_len, weightedmean, lasttoken"),
                "{message}"
            );
        }
    }
}

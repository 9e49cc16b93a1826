//! Multi-head self-attention over the sentences of a packed batch.

use tch::{Kind, Tensor};

use super::{
    linear::{Linear, Norm},
    packed::{PackedBatch, Packing, Run, Starts},
    variables::Variables,
};
use crate::{architecture, operators::packed_attention};

/// Self-attention with its output product. Source: transformers, `RobertaSelfAttention`, and of what others have beyond it:
/// `ModernBertAttention`, `Qwen3Attention`, `DisentangledSelfAttention`.
#[derive(Debug)]
pub(crate) struct Attention {
    projections: Vec<Linear>, // to queries, keys and values: one of each, or one of all
    head_norms: Option<[Norm; 2]>,
    relative: Option<[Option<Linear>; 2]>, // from relative positions to keys and queries
    output: Linear,
    heads: i64,
    kv_heads: i64,
    head: i64,
    rotary: Option<f64>,
    is_causal: bool,
    window: Option<i64>,
    weights_dropout: f64,
    output_dropout: f64,
}

/// Embeddings of relative positions, the same for all layers.
#[derive(Debug)]
pub(crate) struct RelativeEmbeddings {
    table: Tensor, // (2 · span, hidden)
    norm: Option<Norm>,
    described: architecture::RelativePositions,
}

/// What a batch needs of them.
#[derive(Debug)]
pub(crate) struct Relative {
    embeddings: Tensor, // (2 · span, hidden)
    buckets: Tensor,    // (2 · longest − 1): the row for each distance from 1 − longest on
    longest: i64,
    dropout: f64,
}

impl RelativeEmbeddings {
    pub(crate) fn new(variables: &Variables, described: &architecture::RelativePositions) -> Self {
        Self {
            table: variables.get(&described.table.path, "weight"),
            norm: described.norm.as_ref().map(|norm| Norm::new(variables, norm)),
            described: described.clone(),
        }
    }

    pub(crate) fn forward(&self, batch: &PackedBatch, kind: Kind) -> Relative {
        let longest = batch.longest();
        let buckets: Vec<i64> = (1 - longest..longest).map(|distance| self.described.bucket(distance)).collect();
        let embeddings = self.norm.as_ref().map_or(self.table.shallow_clone(), |norm| norm.forward(&self.table));
        Relative {
            buckets: Tensor::from_slice(&buckets).to_device(self.table.device()),
            embeddings: embeddings.to_kind(kind),
            longest,
            dropout: self.described.dropout,
        }
    }
}

impl Relative {
    /// The rows for all pairs of `length` tokens: (length, length).
    fn rows(&self, length: i64) -> Tensor {
        let places = Tensor::arange(length, (Kind::Int64, self.buckets.device()));
        let distances = places.unsqueeze(1) - places.unsqueeze(0) + (self.longest - 1);
        self.buckets.index_select(0, &distances.flatten(0, 1)).view((length, length))
    }
}

/// Keys and queries that one layer makes of relative positions, (heads, 2 · span, head) each.
struct RelativeHeads<'a> {
    keys: Option<Tensor>,
    queries: Option<Tensor>,
    of: &'a Relative,
}

impl RelativeHeads<'_> {
    /// How many products make a score.
    fn products(&self) -> i64 {
        1 + i64::from(self.keys.is_some()) + i64::from(self.queries.is_some())
    }

    /// What is added to the scores of queries and keys, (sentences, heads, length, head) each: (sentences, heads, length,
    /// length).
    fn scores(&self, query: &Tensor, key: &Tensor, scale: f64) -> Option<Tensor> {
        let (sentences, heads, length, _) = query.size4().expect("(sentences, heads, length, head)");
        let rows = self.of.rows(length); // (length, length): of a query's distance from a key
        let gathered = |left: &Tensor, right: &Tensor, rows: &Tensor| {
            let rows = rows.expand([sentences, heads, length, length], false);
            (left * scale).matmul(&right.transpose(-1, -2)).gather(-1, &rows, false)
        };
        let by_keys = self.keys.as_ref().map(|keys| gathered(query, keys, &rows));
        let by_queries =
            self.queries.as_ref().map(|queries| gathered(key, queries, &rows.transpose(0, 1)).transpose(-1, -2));
        match (by_keys, by_queries) {
            (Some(keys), Some(queries)) => Some(keys + queries),
            (one, other) => one.or(other),
        }
    }
}

impl Attention {
    pub(crate) fn new(variables: &Variables, attention: &architecture::Attention) -> Self {
        let linear = |affine: &architecture::Affine| Linear::new(variables, affine);
        let relative = attention.relative.as_ref();
        Self {
            projections: attention.projections.iter().map(linear).collect(),
            head_norms: attention
                .head_norms
                .as_ref()
                .map(|norms| norms.each_ref().map(|norm| Norm::new(variables, norm))),
            relative: relative.map(|relative| [&relative.keys, &relative.queries].map(|one| one.as_ref().map(linear))),
            output: linear(&attention.output),
            heads: attention.heads,
            kv_heads: attention.kv_heads,
            head: attention.head,
            rotary: attention.rotary,
            is_causal: attention.causal,
            window: attention.window,
            weights_dropout: attention.weights_dropout,
            output_dropout: attention.output_dropout,
        }
    }

    /// (tokens, hidden) to (tokens, hidden); a token attends to the tokens of its own sentence.
    pub(crate) fn forward(
        &self,
        hidden: &Tensor,
        batch: &PackedBatch,
        relative: Option<&Relative>,
        train: bool,
    ) -> Tensor {
        let [query, key, value] = self.project(hidden, batch);
        let dropout = if train { self.weights_dropout } else { 0.0 };
        let relative = self.relative_heads(relative, train);
        let context = match &batch.packing {
            Packing::Starts(starts) => self.attend_packed([&query, &key, &value], starts, relative.as_ref(), dropout),
            Packing::Runs { runs, .. } => {
                let attend = |run: &Run| {
                    let [query, key, value] = [&query, &key, &value].map(|xs| self.split(&run.view(xs)));
                    self.attend([&query, &key, &value], None, relative.as_ref(), dropout).flatten(0, 1)
                };
                Tensor::cat(&runs.iter().map(attend).collect::<Vec<_>>(), 0)
            }
        }; // (tokens, heads · head)
        self.output.forward(&context).dropout(self.output_dropout, train)
    }

    /// Queries, keys and values of all tokens, (tokens, heads · head) each, for as many heads.
    fn project(&self, hidden: &Tensor, batch: &PackedBatch) -> [Tensor; 3] {
        let parts: Vec<Tensor> = self.projections.iter().map(|projection| projection.forward(hidden)).collect();
        let widths = [self.heads, self.kv_heads, self.kv_heads].map(|heads| heads * self.head);
        let parts = if let [all] = &parts[..] { all.split_with_sizes(widths, -1) } else { parts };
        let Ok([query, key, value]) = <[Tensor; 3]>::try_from(parts) else {
            unreachable!("a family describes three products, or one of all three")
        };
        let heads = |xs: &Tensor| xs.reshape([xs.size()[0], -1, self.head]); // (tokens, heads, head)
        let (mut query, mut key, value) = (heads(&query), heads(&key), heads(&value));
        if let Some([query_norm, key_norm]) = &self.head_norms {
            (query, key) = (query_norm.forward(&query), key_norm.forward(&key));
        }
        if let Some(theta) = self.rotary {
            let angles = angles(&batch.position_ids, theta, self.head);
            (query, key) = (rotated(&query, &angles), rotated(&key, &angles));
        }
        let shared = self.heads / self.kv_heads;
        let for_all = |xs: Tensor| if shared == 1 { xs } else { xs.repeat_interleave_self_int(shared, 1, None) };
        [query, for_all(key), for_all(value)].map(|xs| xs.flatten(1, 2))
    }

    fn relative_heads<'a>(&self, relative: Option<&'a Relative>, train: bool) -> Option<RelativeHeads<'a>> {
        let ([keys, queries], of) = (self.relative.as_ref()?, relative?);
        let embeddings = of.embeddings.dropout(of.dropout, train);
        let heads = |linear: &Linear| linear.forward(&embeddings).view((-1, self.heads, self.head)).transpose(0, 1);
        Some(RelativeHeads { keys: keys.as_ref().map(heads), queries: queries.as_ref().map(heads), of })
    }

    /// (sentences, length, heads · head) to (sentences, heads, length, head).
    fn split(&self, xs: &Tensor) -> Tensor {
        let (sentences, length, _) = xs.size3().expect("(sentences, length, heads · head)");
        xs.view((sentences, length, self.heads, self.head)).transpose(1, 2)
    }

    /// Attention within sentences, (sentences, heads, length, head) each, to (sentences, length, heads · head); of those
    /// that are padded, `is_token` is (sentences, 1, 1, length).
    fn attend(
        &self,
        [query, key, value]: [&Tensor; 3],
        is_token: Option<&Tensor>,
        relative: Option<&RelativeHeads>,
        dropout: f64,
    ) -> Tensor {
        let products = relative.map_or(1, RelativeHeads::products);
        let scale = 1.0 / ((self.head * products) as f64).sqrt();
        let seen = match (self.seen(query), is_token) {
            (Some(seen), Some(is_token)) => Some(seen.logical_and(is_token)),
            (seen, is_token) => seen.or_else(|| is_token.map(Tensor::shallow_clone)),
        };
        let scores = relative.and_then(|relative| relative.scores(query, key, scale));
        let mask = match (scores, seen) {
            (Some(scores), Some(seen)) => Some(scores.masked_fill(&seen.logical_not(), f64::NEG_INFINITY)),
            (scores, seen) => scores.or(seen),
        };
        Tensor::scaled_dot_product_attention(query, key, value, mask, dropout, false, scale, false)
            .transpose(1, 2)
            .flatten(2, 3)
    }

    /// Which tokens of a sentence see which others, (length, length), unless all do.
    fn seen(&self, query: &Tensor) -> Option<Tensor> {
        if !self.is_causal && self.window.is_none() {
            return None;
        }
        let places = Tensor::arange(query.size()[2], (Kind::Int64, query.device()));
        let behind = places.unsqueeze(0) - places.unsqueeze(1); // of a key, seen from a query
        let within = behind.abs().le(self.window.unwrap_or(i64::MAX));
        Some(if self.is_causal { within.logical_and(&behind.le(0)) } else { within })
    }

    /// Attention within all sentences of a batch as they lie, (tokens, heads · head) each, to (tokens, heads · head).
    ///
    /// The packed kernel reads 16 bytes at once, sees all of a sentence, and has no dropout to be trusted: what it leaves
    /// out in the backward pass is not what it left out in the forward pass (`scripts/reference/packed_attention.py`).
    fn attend_packed(
        &self,
        packed: [&Tensor; 3],
        starts: &Starts,
        relative: Option<&RelativeHeads>,
        dropout: f64,
    ) -> Tensor {
        let sees_all = !self.is_causal && self.window.is_none() && relative.is_none();
        if !sees_all || dropout > 0.0 || self.head % 8 != 0 {
            return self.attend_padded(packed, starts, relative, dropout);
        }
        let tokens = packed[0].size()[0];
        let [query, key, value] = packed.map(|xs| xs.view((tokens, self.heads, self.head)));
        match packed_attention([&query, &key, &value], &starts.cu_seqlens, starts.max_seqlen) {
            Ok(context) => context.flatten(1, 2),
            // A GPU before Ampere has none for bf16.
            Err(error) if error.to_string().contains("no kernel found") => {
                self.attend_padded(packed, starts, relative, dropout)
            }
            Err(error) => panic!("{error}"), // such as memory, like every operator of tch
        }
    }

    /// The same with sentences padded to the longest for this alone.
    fn attend_padded(
        &self,
        packed: [&Tensor; 3],
        starts: &Starts,
        relative: Option<&RelativeHeads>,
        dropout: f64,
    ) -> Tensor {
        let [query, key, value] = packed.map(|xs| self.split(&starts.pad(xs, 0.0)));
        let is_token = starts.is_token().unsqueeze(1).unsqueeze(1); // (sentences, 1, 1, longest)
        starts.unpad(&self.attend([&query, &key, &value], Some(&is_token), relative, dropout))
    }
}

/// Cosines and sines by which the numbers of a head are rotated at each position: (tokens, 1, head / 2) each, in f32.
fn angles(position_ids: &Tensor, theta: f64, head: i64) -> [Tensor; 2] {
    let pairs = Tensor::arange(head / 2, (Kind::Float, position_ids.device()));
    let frequencies = (pairs * (-2.0 / head as f64 * theta.ln())).exp();
    let angles = position_ids.to_kind(Kind::Float).unsqueeze(1) * frequencies; // (tokens, head / 2)
    [angles.cos().unsqueeze(1), angles.sin().unsqueeze(1)]
}

/// Rotates number i of a head with number i + head / 2: (tokens, heads, head). Source: transformers, `rotate_half`.
fn rotated(xs: &Tensor, [cosines, sines]: &[Tensor; 2]) -> Tensor {
    let halves = xs.to_kind(Kind::Float).chunk(2, -1);
    let [first, second] = &halves[..] else { unreachable!("two halves") };
    let rotated = [first * cosines - second * sines, second * cosines + first * sines];
    Tensor::cat(&rotated, -1).to_kind(xs.kind())
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::EncoderConfig;

    #[test]
    fn padded_sentences_attend_to_their_own_tokens_as_packed_ones() {
        let config: EncoderConfig = serde_json::from_str(
            r#"{"model_type": "bert", "vocab_size": 10, "hidden_size": 16, "num_hidden_layers": 1,
                "num_attention_heads": 2, "intermediate_size": 4, "attention_probs_dropout_prob": 0.0}"#,
        )
        .unwrap();
        tch::manual_seed(7);
        let sentences = [vec![5, 6, 7], vec![8], vec![2, 3, 4, 1], vec![9, 1]];
        let batch = PackedBatch::new(&sentences, &config.architecture().embeddings, Device::Cpu);
        let Packing::Runs { runs, .. } = &batch.packing else { panic!("a processor works on runs") };
        let starts = Starts::new(&[vec![8], vec![9, 1], vec![5, 6, 7], vec![2, 3, 4, 1]], Device::Cpu);
        let described = &config.architecture().layers[0].attention;
        let variables = Variables::new(&config.architecture().variables(), Device::Cpu).unwrap();
        let attention = Attention::new(&variables, described);
        let packed = [(); 3].map(|()| Tensor::randn([10, 16], (Kind::Float, Device::Cpu)).set_requires_grad(true));
        let weights = Tensor::randn([10, 16], (Kind::Float, Device::Cpu));
        let [query, key, value] = packed.each_ref();
        let attend = |run: &Run| {
            let [query, key, value] = [query, key, value].map(|xs| attention.split(&run.view(xs)));
            attention.attend([&query, &key, &value], None, None, 0.0).flatten(0, 1)
        };
        let by_runs = Tensor::cat(&runs.iter().map(attend).collect::<Vec<_>>(), 0);
        let padded = attention.attend_padded([query, key, value], &starts, None, 0.0);
        assert!(by_runs.allclose(&padded, 1e-5, 1e-6, false), "{by_runs} {padded}");
        let [grads, others] = [by_runs, padded].map(|context| {
            let loss = (context * &weights).sum(Kind::Float);
            Tensor::run_backward(&[loss], &[query, key, value], false, false)
        });
        assert!(grads.iter().zip(&others).all(|(grad, other)| grad.allclose(other, 1e-5, 1e-6, false)));
    }
}

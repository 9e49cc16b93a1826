//! The encoder on a processor, for inference: the same function as [`Encoder`](crate::torch::Encoder) on the
//! [`kernels`] crate's arithmetic.

pub(crate) mod training;

use kernels::{Format, LayerNorm, Linear, Rows, Sentences, attention};
use tch::Tensor;

use crate::{
    architecture::{self, Affine, Architecture, Norm, Table},
    config::Activation,
    error::Error,
    pooling::Pooling,
    slices,
};

/// Tokens for each thread that go through the layers together, by the bytes of a weight: enough that weights are read from
/// memory once for many of them, few enough that activations stay within the processor's caches.
const PASS_TOKENS: usize = 64;

/// An encoder with its weights laid out for one number format. Between products everything is f32.
#[derive(Debug)]
pub(crate) struct NativeEncoder {
    architecture: Architecture,
    format: Format,
    words: Vec<f32>,     // (vocab, width)
    positions: Vec<f32>, // (positions, width), with the embedding of token type 0 added
    embedding_norm: LayerNorm,
    projection: Option<Linear>,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    query_key_value: Linear, // one product with three times the outputs
    attention_output: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    output_norm: LayerNorm,
}

/// Gives an encoder's variable by its name; its shape is known.
pub(crate) type Read<'a> = dyn Fn(&str, &[i64]) -> Result<Tensor, Error> + 'a;

/// The variables of an encoder as plain numbers, for products in one format.
struct Weights<'a> {
    read: &'a Read<'a>,
    format: Format,
}

impl Weights<'_> {
    fn get(&self, path: &str, what: &str, shape: &[i64]) -> Result<Vec<f32>, Error> {
        let variable = (self.read)(&format!("{path}.{what}"), shape)?;
        Ok(slices::to_vec(&variable)?)
    }

    fn table(&self, table: &Table) -> Result<Vec<f32>, Error> {
        self.get(&table.path, "weight", &[table.rows, table.width])
    }

    fn norm(&self, norm: &Norm) -> Result<LayerNorm, Error> {
        let get = |what: &str| self.get(&norm.path, what, &[norm.width]);
        Ok(LayerNorm { weight: get("weight")?, bias: get("bias")?, eps: norm.eps as f32 })
    }

    /// Products of one input as one that gives their outputs side by side.
    fn linear(&self, parts: &[&Affine]) -> Result<Linear, Error> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for Affine { path, input, output } in parts {
            append(&mut weight, self.get(path, "weight", &[*output, *input])?);
            append(&mut bias, self.get(path, "bias", &[*output])?);
        }
        Ok(Linear::new(self.format, &weight, &bias))
    }

    fn layer(&self, layer: &architecture::Layer) -> Result<Layer, Error> {
        let architecture::Layer { attention, feed_forward } = layer;
        Ok(Layer {
            query_key_value: self.linear(&attention.projections.each_ref())?,
            attention_output: self.linear(&[&attention.output])?,
            attention_norm: self.norm(&attention.norm)?,
            up: self.linear(&[&feed_forward.up])?,
            down: self.linear(&[&feed_forward.down])?,
            output_norm: self.norm(&feed_forward.norm)?,
        })
    }
}

/// The first part keeps its memory.
fn append(all: &mut Vec<f32>, part: Vec<f32>) {
    if all.is_empty() { *all = part } else { all.extend(part) }
}

impl NativeEncoder {
    /// Takes over the weights of an encoder, one variable at a time.
    pub(crate) fn new(read: &Read, architecture: &Architecture, format: Format) -> Result<Self, Error> {
        let weights = Weights { read, format };
        let embeddings = &architecture.embeddings;
        let mut positions = weights.table(&embeddings.positions)?;
        if let Some(table) = &embeddings.token_types {
            let types = weights.table(table)?;
            for row in positions.chunks_exact_mut(table.width as usize) {
                // A single sentence is all type 0.
                row.iter_mut().zip(&types).for_each(|(x, token_type)| *x += token_type);
            }
        }
        Ok(Self {
            words: weights.table(&embeddings.words)?,
            positions,
            embedding_norm: weights.norm(&embeddings.norm)?,
            projection: embeddings.projection.as_ref().map(|affine| weights.linear(&[affine])).transpose()?,
            layers: architecture.layers.iter().map(|layer| weights.layer(layer)).collect::<Result<_, _>>()?,
            architecture: architecture.clone(),
            format,
        })
    }

    /// Embeddings of tokenized sentences, which `embedded` is given pass by pass: which sentences, and theirs, (sentences,
    /// hidden). Sentences of about equal length best stand together, the longest first.
    pub(crate) fn forward(
        &self,
        sentences: &[&[i64]],
        pooling: Pooling,
        embedded: &mut dyn FnMut(std::ops::Range<usize>, &mut [f32]),
    ) {
        let mut workspace = Workspace::new(&self.architecture, self.format);
        let most = PASS_TOKENS * self.format.bytes() * rayon::current_num_threads();
        let (mut start, mut pooled) = (0, Vec::new());
        while start < sentences.len() {
            let mut tokens = 0;
            let fits = |sentence: &&&[i64]| {
                tokens += sentence.len();
                tokens <= most
            };
            let count = sentences[start..].iter().take_while(fits).count().max(1);
            let pass = start..start + count;
            // On a thread of the pool: from any other, every step would wake one and wait for it.
            rayon::scope(|_| self.pass(&sentences[pass.clone()], pooling, &mut workspace, &mut pooled));
            embedded(pass, &mut pooled);
            start += count;
        }
    }

    fn pass(&self, sentences: &[&[i64]], pooling: Pooling, workspace: &mut Workspace, pooled: &mut Vec<f32>) {
        let Architecture { embeddings, layers: described, .. } = &self.architecture;
        let width = self.architecture.hidden as usize;
        let spans = Sentences::new(sentences.iter().map(|ids| ids.len()));
        let Workspace { embedded, hidden, sums, qkv, context, intermediate, lowest, narrow, wide } = workspace;
        let ids: Vec<(usize, usize)> = sentences
            .iter()
            .flat_map(|ids| ids.iter().copied().zip(embeddings.position_ids(ids)))
            .map(|(id, position)| (id as usize, position as usize))
            .collect();
        let tables = [self.words.as_slice(), &self.positions];
        match &self.projection {
            None => self.embedding_norm.embed(tables, &ids, hidden, narrow),
            Some(projection) => {
                self.embedding_norm.embed(tables, &ids, embedded, lowest);
                projection.forward(lowest, None, hidden);
                narrow.encode(hidden);
            }
        }
        for (layer, architecture::Layer { attention: attends, feed_forward }) in self.layers.iter().zip(described) {
            layer.query_key_value.forward(narrow, None, qkv); // (tokens, 3 · hidden)
            attention(self.format, qkv, &spans, attends.heads as usize, None, context); // (tokens, hidden)
            narrow.encode(context);
            layer.attention_output.forward(narrow, None, sums);
            layer.attention_norm.add(sums, hidden, narrow);
            std::mem::swap(hidden, sums);
            layer.up.forward(narrow, Some(feed_forward.activation.into()), intermediate); // (tokens, intermediate)
            wide.encode(intermediate);
            layer.down.forward(wide, None, sums);
            layer.output_norm.add(sums, hidden, narrow);
            std::mem::swap(hidden, sums);
        }
        pooled.resize(sentences.len() * width, 0.0);
        for (tokens, pooled) in spans.ranges().zip(pooled.chunks_exact_mut(width)) {
            pooling.pool(&hidden[tokens.start * width..tokens.end * width], pooled);
        }
    }
}

impl From<Activation> for kernels::Activation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Gelu => Self::Gelu,
            Activation::GeluTanh => Self::GeluTanh,
            Activation::Relu => Self::Relu,
        }
    }
}

/// Memory of one pass, kept from pass to pass.
struct Workspace {
    embedded: Vec<f32>,     // (tokens, width of the embeddings), where it is not hidden
    hidden: Vec<f32>,       // (tokens, hidden)
    sums: Vec<f32>,         // (tokens, hidden)
    qkv: Vec<f32>,          // (tokens, 3 · hidden)
    context: Vec<f32>,      // (tokens, hidden)
    intermediate: Vec<f32>, // (tokens, intermediate)
    lowest: Rows,           // (tokens, width of the embeddings)
    narrow: Rows,           // (tokens, hidden)
    wide: Rows,             // (tokens, intermediate)
}

impl Workspace {
    fn new(architecture: &Architecture, format: Format) -> Self {
        let intermediate = architecture.layers.iter().map(|layer| layer.feed_forward.up.output).max().unwrap_or(0);
        let rows = |width: i64| Rows::new(format, width as usize);
        Self {
            embedded: Vec::new(),
            hidden: Vec::new(),
            sums: Vec::new(),
            qkv: Vec::new(),
            context: Vec::new(),
            intermediate: Vec::new(),
            lowest: rows(architecture.embeddings.words.width),
            narrow: rows(architecture.hidden),
            wide: rows(intermediate),
        }
    }
}

//! The encoder on a processor, for inference: the same function as [`Encoder`](crate::encoder::Encoder) on the
//! [`kernels`] crate's arithmetic.

pub(crate) mod training;

use kernels::{Format, LayerNorm, Linear, Rows, Sentences, attention};
use tch::Tensor;

use crate::{
    config::{Activation, EncoderConfig},
    error::Error,
    pooling::Pooling,
    slices,
};

/// Tokens for each thread that go through the layers together, by the bytes of a weight: enough that weights are read from
/// memory once for many of them, few enough that activations stay within the processor's caches.
const PASS_TOKENS: usize = 64;

/// A BERT or RoBERTa encoder with its weights laid out for one number format. Between products everything is f32.
#[derive(Debug)]
pub(crate) struct NativeEncoder {
    config: EncoderConfig,
    format: Format,
    word_embeddings: Vec<f32>,     // (vocab, hidden)
    position_embeddings: Vec<f32>, // (positions, hidden), with the embedding of token type 0 added
    layer_norm: LayerNorm,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    query_key_value: Linear, // one product with three times the outputs
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

/// Gives an encoder's variable by its name; its shape is known.
pub(crate) type Read<'a> = dyn Fn(&str, &[i64]) -> Result<Tensor, Error> + 'a;

/// The variables of an encoder as plain numbers.
struct Weights<'a>(&'a Read<'a>);

impl Weights<'_> {
    fn get(&self, name: &str, shape: &[i64]) -> Result<Vec<f32>, Error> {
        let variable = (self.0)(name, shape)?;
        Ok(slices::to_vec(&variable)?)
    }

    fn layer_norm(&self, path: &str, config: &EncoderConfig) -> Result<LayerNorm, Error> {
        let get = |what: &str| self.get(&format!("{path}.{what}"), &[config.hidden_size]);
        Ok(LayerNorm { weight: get("weight")?, bias: get("bias")?, eps: config.layer_norm_eps as f32 })
    }

    /// The layers below `paths`, each of (output, input), as one that gives their outputs side by side.
    fn linear(&self, paths: &[String], [input, output]: [i64; 2], format: Format) -> Result<Linear, Error> {
        let all = |what: &str, shape: &[i64]| -> Result<Vec<f32>, Error> {
            let mut parts = paths.iter().map(|path| self.get(&format!("{path}.{what}"), shape));
            let first = parts.next().unwrap_or_else(|| Ok(Vec::new()))?;
            parts.try_fold(first, |mut all, part| {
                all.extend(part?);
                Ok(all)
            })
        };
        Ok(Linear::new(format, &all("weight", &[output, input])?, &all("bias", &[output])?))
    }
}

impl NativeEncoder {
    /// Takes over the weights of an encoder with this configuration, one variable at a time.
    pub(crate) fn new(read: &Read, config: &EncoderConfig, format: Format) -> Result<Self, Error> {
        let weights = Weights(read);
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let layer = |index: i64| -> Result<Layer, Error> {
            let path = |name: &str| format!("encoder.layer.{index}.{name}");
            let linear = |name: &str, shape| weights.linear(&[path(name)], shape, format);
            let qkv = ["query", "key", "value"].map(|name| path(&format!("attention.self.{name}")));
            Ok(Layer {
                query_key_value: weights.linear(&qkv, [hidden, hidden], format)?,
                attention_output: linear("attention.output.dense", [hidden, hidden])?,
                attention_norm: weights.layer_norm(&path("attention.output.LayerNorm"), config)?,
                intermediate: linear("intermediate.dense", [hidden, intermediate])?,
                output: linear("output.dense", [intermediate, hidden])?,
                output_norm: weights.layer_norm(&path("output.LayerNorm"), config)?,
            })
        };
        let table = |name: &str, rows| weights.get(&format!("embeddings.{name}.weight"), &[rows, hidden]);
        let token_types = table("token_type_embeddings", config.type_vocab_size)?;
        let mut position_embeddings = table("position_embeddings", config.max_position_embeddings)?;
        for row in position_embeddings.chunks_exact_mut(hidden as usize) {
            // A single sentence is all type 0.
            row.iter_mut().zip(&token_types).for_each(|(x, token_type)| *x += token_type);
        }
        Ok(Self {
            word_embeddings: table("word_embeddings", config.vocab_size)?,
            position_embeddings,
            layer_norm: weights.layer_norm("embeddings.LayerNorm", config)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_, _>>()?,
            config: config.clone(),
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
        let mut workspace = Workspace::new(&self.config, self.format);
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
        let width = self.config.hidden_size as usize;
        let heads = self.config.num_attention_heads as usize;
        let activation = self.config.hidden_act.into();
        let spans = Sentences::new(sentences.iter().map(|ids| ids.len()));
        let Workspace { hidden, sums, qkv, context, intermediate, narrow, wide } = workspace;
        let ids: Vec<(usize, usize)> = sentences
            .iter()
            .flat_map(|ids| ids.iter().copied().zip(self.config.position_ids(ids)))
            .map(|(id, position)| (id as usize, position as usize))
            .collect();
        let tables = [self.word_embeddings.as_slice(), &self.position_embeddings];
        self.layer_norm.embed(tables, &ids, hidden, narrow);
        for layer in &self.layers {
            layer.query_key_value.forward(narrow, None, qkv); // (tokens, 3 · hidden)
            attention(self.format, qkv, &spans, heads, None, context); // (tokens, hidden)
            narrow.encode(context);
            layer.attention_output.forward(narrow, None, sums);
            layer.attention_norm.add(sums, hidden, narrow);
            std::mem::swap(hidden, sums);
            layer.intermediate.forward(narrow, Some(activation), intermediate); // (tokens, intermediate)
            wide.encode(intermediate);
            layer.output.forward(wide, None, sums);
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
    hidden: Vec<f32>,       // (tokens, hidden)
    sums: Vec<f32>,         // (tokens, hidden)
    qkv: Vec<f32>,          // (tokens, 3 · hidden)
    context: Vec<f32>,      // (tokens, hidden)
    intermediate: Vec<f32>, // (tokens, intermediate)
    narrow: Rows,           // (tokens, hidden)
    wide: Rows,             // (tokens, intermediate)
}

impl Workspace {
    fn new(config: &EncoderConfig, format: Format) -> Self {
        Self {
            hidden: Vec::new(),
            sums: Vec::new(),
            qkv: Vec::new(),
            context: Vec::new(),
            intermediate: Vec::new(),
            narrow: Rows::new(format, config.hidden_size as usize),
            wide: Rows::new(format, config.intermediate_size as usize),
        }
    }
}

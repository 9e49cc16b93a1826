//! The encoder on a processor, for inference: the same function as [`Encoder`](crate::torch::Encoder) on the
//! [`kernels`] crate's arithmetic.

mod head;
pub(crate) mod training;
mod weights;

use kernels::{Attention, Format, Linear, Norm, Relative, Rotary, Rows, Sentences, attention, embed, prepare_heads};

use self::weights::{Places, Weights};
pub(crate) use self::{head::NativeHead, weights::Read};
use crate::{
    architecture::{self, Architecture, NormOrder},
    config::Activation,
    error::Error,
    sequence::Sequence,
};

/// Tokens for each thread that go through the layers together, by the bytes of a weight: enough that weights are read from
/// memory once for many of them, few enough that activations stay within the processor's caches.
const PASS_TOKENS: usize = 64;

/// An encoder with its weights laid out for one number format. Between products everything is f32.
#[derive(Debug)]
pub(crate) struct NativeEncoder {
    architecture: Architecture,
    format: Format,
    words: Vec<f32>, // (vocab, width); the embedding of token type 0 is part of these where there are no places
    places: Places,
    embedding_norm: Option<Norm>,
    projection: Option<Linear>,
    layers: Vec<Layer>,
    convolution: Option<Convolution>,
    final_norm: Option<Norm>,
}

#[derive(Debug)]
struct Layer {
    query_key_value: Linear, // one product with all outputs side by side
    head_norms: Option<[Norm; 2]>,
    relative: Option<Relative>,
    attention_output: Linear,
    attention_norm: Option<Norm>,
    up: Linear,
    down: Linear,
    feed_forward_norm: Norm,
}

/// Neighbouring tokens as the inputs of one product.
#[derive(Debug)]
struct Convolution {
    linear: Linear, // (kernel · hidden) to (hidden)
    kernel: usize,
    activation: kernels::Activation,
    norm: Norm,
}

impl NativeEncoder {
    /// Takes over the weights of an encoder, one variable at a time. Of token types, the first `types` are seen: a single
    /// text is all type 0.
    pub(crate) fn new(read: &Read, architecture: &Architecture, format: Format, types: usize) -> Result<Self, Error> {
        let weights = Weights::new(read, format);
        let embeddings = &architecture.embeddings;
        let relative = architecture.relative.as_ref().map(|relative| weights.relative_table(relative)).transpose()?;
        let layer = |described: &architecture::Layer| -> Result<Layer, Error> {
            let architecture::Layer { attention, attention_norm, feed_forward, feed_forward_norm } = described;
            let projections = attention.relative.as_ref().zip(relative.as_ref()).zip(architecture.relative.as_ref());
            let relative = projections.map(|((projections, table), positions)| {
                weights.relative(projections, table, positions, attention.heads, architecture.longest)
            });
            let norms = |[query, key]: &[architecture::Norm; 2]| -> Result<_, Error> {
                Ok([weights.norm(query)?, weights.norm(key)?])
            };
            Ok(Layer {
                query_key_value: weights.linear(&attention.projections)?,
                head_norms: attention.head_norms.as_ref().map(norms).transpose()?,
                relative: relative.transpose()?,
                attention_output: weights.linear(std::slice::from_ref(&attention.output))?,
                attention_norm: attention_norm.as_ref().map(|norm| weights.norm(norm)).transpose()?,
                up: weights.linear(&feed_forward.up)?,
                down: weights.linear(std::slice::from_ref(&feed_forward.down))?,
                feed_forward_norm: weights.norm(feed_forward_norm)?,
            })
        };
        let convolution = |described: &architecture::Convolution| -> Result<Convolution, Error> {
            Ok(Convolution {
                linear: weights.convolution(described)?,
                kernel: described.kernel as usize,
                activation: described.activation.into(),
                norm: weights.norm(&described.norm)?,
            })
        };
        let (words, places) = weights.embeddings(embeddings, types)?;
        Ok(Self {
            words,
            places,
            embedding_norm: embeddings.norm.as_ref().map(|norm| weights.norm(norm)).transpose()?,
            projection: embeddings
                .projection
                .as_ref()
                .map(|affine| weights.linear(std::slice::from_ref(affine)))
                .transpose()?,
            layers: architecture.layers.iter().map(layer).collect::<Result<_, _>>()?,
            convolution: architecture.convolution.as_ref().map(convolution).transpose()?,
            final_norm: architecture.final_norm.as_ref().map(|norm| weights.norm(norm)).transpose()?,
            architecture: architecture.clone(),
            format,
        })
    }

    /// Embeddings of tokenized sentences, which `embedded` is given pass by pass: which sentences, and theirs, (sentences,
    /// width). Sentences of about equal length best stand together, the longest first.
    pub(crate) fn forward<S: Sequence>(
        &self,
        sentences: &[S],
        head: &NativeHead,
        embedded: &mut dyn FnMut(std::ops::Range<usize>, &[f32]),
    ) {
        let mut workspace = Workspace::new(&self.architecture, self.format);
        let most = PASS_TOKENS * self.format.bytes() * rayon::current_num_threads();
        let (mut start, mut embeddings) = (0, Vec::new());
        while start < sentences.len() {
            let mut tokens = 0;
            let fits = |sentence: &&S| {
                tokens += sentence.ids().len();
                tokens <= most
            };
            let count = sentences[start..].iter().take_while(fits).count().max(1);
            let pass = start..start + count;
            // On a thread of the pool: from any other, every step would wake one and wait for it.
            rayon::scope(|_| {
                let spans = self.pass(&sentences[pass.clone()], &mut workspace);
                head.forward(&workspace.hidden, &spans, self.architecture.hidden as usize, &mut embeddings);
            });
            embedded(pass, &embeddings);
            start += count;
        }
    }

    /// The embeddings of all tokens, in `workspace.hidden`; returns where each sentence's stand.
    fn pass<S: Sequence>(&self, sentences: &[S], workspace: &mut Workspace) -> Sentences {
        let spans = Sentences::new(sentences.iter().map(|sentence| sentence.ids().len()));
        let positions = self.embed(sentences, workspace);
        for (index, (layer, described)) in self.layers.iter().zip(&self.architecture.layers).enumerate() {
            if let (0, Some(_)) = (index, &self.convolution) {
                workspace.input.clone_from(&workspace.hidden);
            }
            match self.architecture.norm_order {
                NormOrder::After => self.layer(layer, described, &spans, &positions, workspace),
                NormOrder::Before => {
                    let is_first = index == 0;
                    self.layer_norm_first(layer, described, &spans, &positions, is_first, workspace);
                }
            }
            if let (0, Some(convolution)) = (index, &self.convolution) {
                convolution.add(&spans, workspace);
            }
        }
        let Workspace { hidden, sums, .. } = workspace;
        if self.architecture.norm_order == NormOrder::Before {
            // The last layer's branch is not added yet.
            hidden.iter_mut().zip(&*sums).for_each(|(hidden, branch)| *hidden += branch);
        }
        if let Some(norm) = &self.final_norm {
            norm.apply(hidden);
        }
        spans
    }

    /// The first layer's input, in f32 and for products. Returns each token's position in its sentence.
    fn embed<S: Sequence>(&self, sentences: &[S], workspace: &mut Workspace) -> Vec<usize> {
        let Workspace { embedded, hidden, lowest, narrow, .. } = workspace;
        let embeddings = &self.architecture.embeddings;
        let (mut ids, mut positions) = (Vec::new(), Vec::new());
        for sentence in sentences {
            let placed = sentence.ids().iter().zip(embeddings.position_ids(sentence.ids()));
            for (place, (&id, position)) in placed.enumerate() {
                let token_type = usize::from(place >= sentence.second());
                ids.push((id as usize, self.places.row(position as usize, token_type)));
                positions.push(position as usize);
            }
        }
        let tables = [Some(self.words.as_slice()), self.places.table.as_deref()];
        let tables: Vec<&[f32]> = tables.into_iter().flatten().collect();
        let (sum, rows) =
            if self.projection.is_some() { (&mut *embedded, &mut *lowest) } else { (&mut *hidden, &mut *narrow) };
        embed(&tables, embeddings.words.width as usize, &ids, sum);
        match &self.embedding_norm {
            Some(norm) => norm.encode(sum, rows),
            None => rows.encode(sum),
        }
        if let Some(projection) = &self.projection {
            projection.forward(lowest, None, hidden);
            narrow.encode(hidden);
        }
        positions
    }

    /// x = norm(x + f(x)), twice.
    fn layer(
        &self,
        layer: &Layer,
        described: &architecture::Layer,
        spans: &Sentences,
        positions: &[usize],
        workspace: &mut Workspace,
    ) {
        self.attend(layer, &described.attention, spans, positions, workspace);
        let Workspace { hidden, sums, narrow, .. } = workspace;
        if let Some(norm) = &layer.attention_norm {
            norm.add(sums, hidden, narrow);
        }
        std::mem::swap(hidden, sums);
        feed_forward(layer, &described.feed_forward, workspace);
        let Workspace { hidden, sums, narrow, .. } = workspace;
        layer.feed_forward_norm.add(sums, hidden, narrow);
        std::mem::swap(hidden, sums);
    }

    /// x = x + f(norm(x)), twice. What the layer before adds to x stands in `sums` when it begins, and so does what it adds
    /// itself when it ends.
    fn layer_norm_first(
        &self,
        layer: &Layer,
        described: &architecture::Layer,
        spans: &Sentences,
        positions: &[usize],
        is_first: bool,
        workspace: &mut Workspace,
    ) {
        let Workspace { hidden, sums, narrow, .. } = workspace;
        if is_first {
            sums.clear();
            sums.resize(hidden.len(), 0.0);
        }
        match &layer.attention_norm {
            Some(norm) => norm.add_before(hidden, sums, narrow),
            None => {
                hidden.iter_mut().zip(&*sums).for_each(|(hidden, branch)| *hidden += branch);
                narrow.encode(hidden);
            }
        }
        self.attend(layer, &described.attention, spans, positions, workspace);
        let Workspace { hidden, sums, narrow, .. } = workspace;
        layer.feed_forward_norm.add_before(hidden, sums, narrow);
        feed_forward(layer, &described.feed_forward, workspace);
    }

    /// What attention makes of `narrow`, in `sums`.
    fn attend(
        &self,
        layer: &Layer,
        described: &architecture::Attention,
        spans: &Sentences,
        positions: &[usize],
        workspace: &mut Workspace,
    ) {
        let Workspace { sums, qkv, context, narrow, heads, .. } = workspace;
        let attends = Attention {
            heads: described.heads as usize,
            kv_heads: described.kv_heads as usize,
            head: described.head as usize,
            is_causal: described.causal,
            window: described.window.map(|window| window as usize),
            relative: layer.relative.as_ref(),
        };
        layer.query_key_value.forward(narrow, None, qkv); // (tokens, queries, keys and values)
        if described.rotary.is_some() || layer.head_norms.is_some() {
            let longest = spans.ranges().map(|tokens| tokens.len()).max().unwrap_or_default();
            // A pass has one or two bases of wavelengths.
            let rotary = described.rotary.map(|theta| workspace.rotaries.of(theta, attends.head, longest));
            let shape = [attends.heads, attends.kv_heads, attends.head];
            prepare_heads(qkv, shape, layer.head_norms.as_ref(), rotary, positions);
        }
        attention(self.format, qkv, spans, &attends, None, context); // (tokens, heads · head)
        heads.encode(context);
        layer.attention_output.forward(heads, None, sums);
    }
}

/// What a layer's second part makes of `narrow`, in `sums`.
fn feed_forward(layer: &Layer, described: &architecture::FeedForward, workspace: &mut Workspace) {
    let Workspace { sums, intermediate, narrow, wide, .. } = workspace;
    let activation: kernels::Activation = described.activation.into();
    if described.gated {
        layer.up.forward(narrow, None, intermediate); // (tokens, 2 · intermediate)
        activation.gate(intermediate, wide);
    } else {
        layer.up.forward(narrow, Some(activation), intermediate); // (tokens, intermediate)
        wide.encode(intermediate);
    }
    layer.down.forward(wide, None, sums);
}

impl Convolution {
    /// Adds what neighbours of the first layer's input make to its output.
    fn add(&self, spans: &Sentences, workspace: &mut Workspace) {
        let Workspace { input, hidden, sums, intermediate, narrow, neighbours, .. } = workspace;
        let width = self.norm.weight.len();
        let (row, reach) = (self.kernel * width, self.kernel / 2);
        intermediate.clear();
        intermediate.resize(spans.tokens() * row, 0.0); // zero beyond a sentence
        for tokens in spans.ranges() {
            for token in tokens.clone() {
                let within = token.saturating_sub(reach).max(tokens.start)..(token + reach + 1).min(tokens.end);
                let first = (within.start + reach - token) * width;
                let source = &input[within.start * width..within.end * width];
                intermediate[token * row + first..][..source.len()].copy_from_slice(source);
            }
        }
        neighbours.encode(intermediate);
        self.linear.forward(neighbours, Some(self.activation), sums);
        self.norm.add(sums, hidden, narrow);
        std::mem::swap(hidden, sums);
    }
}

impl From<Activation> for kernels::Activation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Gelu => Self::Gelu,
            Activation::GeluTanh => Self::GeluTanh,
            Activation::Relu => Self::Relu,
            Activation::Silu => Self::Silu,
            Activation::Tanh => Self::Tanh,
        }
    }
}

/// Memory of one pass, kept from pass to pass.
struct Workspace {
    embedded: Vec<f32>,     // (tokens, width of the embeddings), where it is not hidden
    input: Vec<f32>,        // (tokens, hidden): the first layer's, where there is a convolution
    hidden: Vec<f32>,       // (tokens, hidden): the residual stream
    sums: Vec<f32>,         // (tokens, hidden): a branch of it
    qkv: Vec<f32>,          // (tokens, queries, keys and values)
    context: Vec<f32>,      // (tokens, heads · head)
    intermediate: Vec<f32>, // (tokens, outputs of the first feed-forward product)
    lowest: Rows,           // (tokens, width of the embeddings)
    narrow: Rows,           // (tokens, hidden)
    heads: Rows,            // (tokens, heads · head)
    wide: Rows,             // (tokens, inputs of the second feed-forward product)
    neighbours: Rows,       // (tokens, kernel · hidden)
    rotaries: Rotaries,
}

impl Workspace {
    fn new(architecture: &Architecture, format: Format) -> Self {
        let widest = |of: fn(&architecture::Layer) -> i64| architecture.layers.iter().map(of).max().unwrap_or(0);
        let rows = |width: i64| Rows::new(format, width as usize);
        Self {
            embedded: Vec::new(),
            input: Vec::new(),
            hidden: Vec::new(),
            sums: Vec::new(),
            qkv: Vec::new(),
            context: Vec::new(),
            intermediate: Vec::new(),
            lowest: rows(architecture.embeddings.words.width),
            narrow: rows(architecture.hidden),
            heads: rows(widest(|layer| layer.attention.output.input)),
            wide: rows(widest(|layer| layer.feed_forward.down.input)),
            neighbours: rows(architecture.convolution.as_ref().map_or(0, |one| one.kernel * architecture.hidden)),
            rotaries: Rotaries::default(),
        }
    }
}

/// Rotations by their base, for as many positions as were asked for yet.
#[derive(Default)]
struct Rotaries(Vec<(f64, usize, Rotary)>);

impl Rotaries {
    fn of(&mut self, theta: f64, head: usize, positions: usize) -> &Rotary {
        let place = self.0.iter().position(|(base, ..)| *base == theta);
        let place = place.unwrap_or_else(|| {
            self.0.push((theta, 0, Rotary::new(theta, head, 0)));
            self.0.len() - 1
        });
        let (_, known, rotary) = &mut self.0[place];
        if *known < positions {
            (*known, *rotary) = (positions, Rotary::new(theta, head, positions));
        }
        rotary
    }
}

//! Forward and backward pass of training on a processor: the same function as libtorch's autograd differentiates in
//! [`Encoder::forward`](crate::torch::Encoder::forward), with its gradient written out.
//!
//! Products take their inputs in the format of the run; sums, norms, the residual stream and its gradient are f32. A weight
//! is laid out right before the product that reads it. Dropout masks, attention weights and activations are made again in
//! the backward pass rather than kept.

mod dropouts;
mod parameters;
mod post_norm;

use kernels::{
    Attention, Dropout, Factor, Format, NormTape, Rows, Sentences, add_column_sums, attention, attention_backward,
};

use self::{
    dropouts::{Dropouts, drop_out},
    parameters::{Affine, Parameter},
    post_norm::PostNormLayer,
};
pub(crate) use self::{parameters::Parameters, post_norm::PostNorm};
use crate::{head::Head, sequence::Sequence};

/// What a forward pass keeps for the backward pass, and memory for both, kept from step to step.
#[derive(Debug)]
pub(crate) struct Tape {
    format: Format,
    ids: Vec<Token>, // (tokens)
    sentences: Sentences,
    embedded: NormTape,
    lowest: Vec<f32>, // (tokens, width of the embeddings): where it is not hidden, the projection's input
    projected: Rows,  // the same
    layers: Vec<LayerTape>,
    hidden: Vec<f32>,       // (tokens, hidden)
    branch: Vec<f32>,       // (tokens, hidden)
    qkv: Vec<f32>,          // (tokens, 3 · hidden)
    intermediate: Vec<f32>, // (tokens, intermediate)
    narrow: Rows,           // (tokens, hidden)
    triple: Rows,           // (tokens, 3 · hidden)
    wide: Rows,             // (tokens, intermediate)
    transposed: Rows,       // (width, tokens)
    factor: Factor,
}

/// The rows of the tables of embeddings that a token has.
#[derive(Clone, Copy, Debug)]
struct Token {
    word: usize,
    position: usize,
    token_type: usize,
}

#[derive(Debug)]
struct LayerTape {
    input: Rows,   // (tokens, hidden)
    qkv: Vec<f32>, // (tokens, 3 · hidden)
    context: Rows, // (tokens, hidden)
    attended: NormTape,
    middle: Rows, // (tokens, hidden)
    pre: Rows,    // (tokens, intermediate): before the activation
    output: NormTape,
}

impl Tape {
    pub(crate) fn new(encoder: &PostNorm, format: Format) -> Self {
        let hidden = encoder.hidden;
        let intermediate = |layer: &PostNormLayer| layer.up.output as usize;
        let layer = |layer: &PostNormLayer| LayerTape {
            input: Rows::new(format, hidden),
            qkv: Vec::new(),
            context: Rows::new(format, hidden),
            attended: NormTape::default(),
            middle: Rows::new(format, hidden),
            pre: Rows::new(format, intermediate(layer)),
            output: NormTape::default(),
        };
        Self {
            format,
            ids: Vec::new(),
            sentences: Sentences::new([]),
            embedded: NormTape::default(),
            lowest: Vec::new(),
            projected: Rows::new(format, encoder.embeddings.words.width as usize),
            layers: encoder.layers.iter().map(layer).collect(),
            hidden: Vec::new(),
            branch: Vec::new(),
            qkv: Vec::new(),
            intermediate: Vec::new(),
            narrow: Rows::new(format, hidden),
            triple: Rows::new(format, 3 * hidden),
            wide: Rows::new(format, encoder.layers.iter().map(intermediate).max().unwrap_or(0)),
            transposed: Rows::new(format, 0),
            factor: Factor::new(format),
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Computes the embeddings of the tokens of all sentences. `seed` is dropout's, and none switches it off.
    pub(crate) fn forward<S: Sequence>(
        &mut self,
        parameters: &Parameters,
        encoder: &PostNorm,
        sentences: &[S],
        seed: Option<u64>,
    ) {
        let (width, embeddings) = (encoder.hidden, &encoder.embeddings);
        let dropouts = Dropouts { encoder, seed };
        self.sentences = Sentences::new(sentences.iter().map(|sentence| sentence.ids().len()));
        // Types beyond the table are its last: of models that do not tell two texts apart.
        let last = embeddings.token_types.as_ref().map_or(0, |table| table.rows as usize - 1);
        self.ids.clear();
        for sentence in sentences {
            let placed = sentence.ids().iter().zip(embeddings.position_ids(sentence.ids()));
            self.ids.extend(placed.enumerate().map(|(place, (&word, position))| {
                let token_type = usize::from(place >= sentence.second()).min(last);
                Token { word: word as usize, position: position as usize, token_type }
            }));
        }
        self.embed(parameters, encoder, dropouts.embeddings());

        let Self { hidden, branch, intermediate, wide, factor, .. } = self;
        let layers = parameters.layers.iter().zip(&encoder.layers).zip(&mut self.layers);
        for (index, ((layer, described), tape)) in layers.enumerate() {
            tape.input.encode(hidden);
            let projections = layer.projections.each_ref();
            factor.pack_transposed(&projections.map(|affine| affine.weight.value), width);
            factor.multiply_bias(&tape.input, &projections.map(|affine| affine.bias.value).concat(), &mut tape.qkv);
            let attends = Attention::plain(described.heads, width / described.heads);
            attention(self.format, &tape.qkv, &self.sentences, &attends, dropouts.attention(index), branch);
            tape.context.encode(branch);
            linear(factor, &layer.attention_output, &tape.context, &mut tape.attended.normalized);
            let eps = described.attention_norm.eps as f32;
            tape.attended.add(hidden, layer.attention_norm.values(), eps, dropouts.attended(index));

            tape.middle.encode(hidden);
            linear(factor, &layer.up, &tape.middle, intermediate);
            tape.pre.encode(intermediate);
            kernels::Activation::from(described.activation).apply(intermediate, wide);
            linear(factor, &layer.down, wide, &mut tape.output.normalized);
            let eps = described.output_norm.eps as f32;
            tape.output.add(hidden, layer.output_norm.values(), eps, dropouts.output(index));
        }
    }

    /// Embeddings of the tokens that the forward pass saw, one sentence after the other: (tokens, hidden).
    pub(crate) fn tokens(&self) -> &[f32] {
        &self.hidden
    }

    /// Embeddings of the sentences that the forward pass saw, (sentences, hidden).
    pub(crate) fn pool(&self, width: usize, &Head { pooling, skipped, .. }: &Head) -> Vec<f32> {
        let ranges = self.sentences.ranges();
        let mut pooled = vec![0.0; ranges.len() * pooling.width(width)];
        for (tokens, pooled) in ranges.zip(pooled.chunks_exact_mut(pooling.width(width))) {
            pooling.pool(&self.hidden[tokens.start * width..tokens.end * width], width, skipped, pooled);
        }
        pooled
    }

    /// From the gradient with respect to the sentences' embeddings to that with respect to the tokens', (tokens, hidden).
    pub(crate) fn pool_backward(
        &self,
        width: usize,
        &Head { pooling, skipped, .. }: &Head,
        grad_pooled: &[f32],
    ) -> Vec<f32> {
        let mut grad = vec![0.0; self.hidden.len()];
        for (tokens, grad_pooled) in self.sentences.ranges().zip(grad_pooled.chunks_exact(pooling.width(width))) {
            let tokens = tokens.start * width..tokens.end * width;
            pooling.pool_backward(&self.hidden[tokens.clone()], width, skipped, grad_pooled, &mut grad[tokens]);
        }
        grad
    }

    /// Word, position and token type embeddings summed, normalized, dropped and projected.
    fn embed(&mut self, parameters: &Parameters, encoder: &PostNorm, dropout: Option<Dropout>) {
        let width = encoder.embeddings.words.width as usize;
        let (words, positions) = (parameters.words.value, parameters.positions.value);
        let untyped = vec![0.0; width];
        let types = parameters.token_types.as_ref().map_or(untyped.as_slice(), |table| table.value);
        let norm = &parameters.embedding_norm;
        let Self { ids, embedded, lowest, projected, hidden, factor, .. } = self;
        embedded.normalized.resize(ids.len() * width, 0.0);
        for (row, token) in embedded.normalized.chunks_exact_mut(width).zip(&*ids) {
            let [word, position, token_type] =
                [(words, token.word), (positions, token.position), (types, token.token_type)]
                    .map(|(table, row)| &table[row * width..][..width]);
            for (x, ((word, position), token_type)) in row.iter_mut().zip(word.iter().zip(position).zip(token_type)) {
                *x = word + token_type + position;
            }
        }
        let sum = if parameters.projection.is_some() { &mut *lowest } else { &mut *hidden };
        sum.clear();
        sum.resize(ids.len() * width, 0.0);
        embedded.add(sum, norm.values(), encoder.embedding_norm.eps as f32, None);
        drop_out(sum, width, dropout);
        if let Some(projection) = &parameters.projection {
            projected.encode(lowest);
            linear(factor, projection, projected, hidden);
        }
    }

    /// Adds the gradient of a loss to the parameters' gradients, given that with respect to the tokens' embeddings which
    /// the forward pass with the same `seed` returned, (tokens, hidden).
    pub(crate) fn backward(
        &mut self,
        parameters: &mut Parameters,
        encoder: &PostNorm,
        seed: Option<u64>,
        mut grad: Vec<f32>, // of the residual stream
    ) {
        let width = encoder.hidden;
        let dropouts = Dropouts { encoder, seed };
        let Self { format, branch, qkv, intermediate, narrow, triple, wide, transposed, factor, sentences, .. } = self;
        let layers = parameters.layers.iter_mut().zip(&encoder.layers).zip(&mut self.layers);
        for (index, ((layer, described), tape)) in layers.enumerate().rev() {
            let heads = described.heads;
            let activation = kernels::Activation::from(described.activation);
            tape.output.backward(&mut grad, layer.output_norm.weight.value, layer.output_norm.grads());
            branch.clone_from(&grad);
            drop_out(branch, width, dropouts.output(index));
            tape.pre.decode(intermediate);
            activation.apply(intermediate, wide);
            backward_weight(&mut [&mut layer.down], branch, wide, transposed, factor);
            narrow.encode(branch);
            factor.pack(&[layer.down.weight.value], wide.width());
            factor.multiply(narrow, intermediate);
            activation.backward(intermediate, &tape.pre, wide);
            backward_weight(&mut [&mut layer.up], intermediate, &tape.middle, transposed, factor);
            factor.pack(&[layer.up.weight.value], width);
            factor.multiply_add(wide, 0..wide.tokens(), &mut grad);

            tape.attended.backward(&mut grad, layer.attention_norm.weight.value, layer.attention_norm.grads());
            branch.clone_from(&grad);
            drop_out(branch, width, dropouts.attended(index));
            backward_weight(&mut [&mut layer.attention_output], branch, &tape.context, transposed, factor);
            narrow.encode(branch);
            factor.pack(&[layer.attention_output.weight.value], width);
            factor.multiply(narrow, branch); // now of the context
            attention_backward(*format, &tape.qkv, sentences, heads, dropouts.attention(index), branch, qkv);
            let mut projections = layer.projections.each_mut();
            backward_weight(&mut projections, qkv, &tape.input, transposed, factor);
            triple.encode(qkv);
            factor.pack(&projections.map(|affine| affine.weight.value), width);
            factor.multiply_add(triple, 0..triple.tokens(), &mut grad);
        }
        if let Some(projection) = &mut parameters.projection {
            backward_weight(&mut [&mut *projection], &grad, &self.projected, transposed, factor);
            narrow.encode(&grad);
            factor.pack(&[projection.weight.value], self.projected.width());
            factor.multiply(narrow, &mut self.lowest);
            grad.clone_from(&self.lowest);
        }
        let width = encoder.embeddings.words.width as usize;
        drop_out(&mut grad, width, dropouts.embeddings());
        self.embedded.backward(&mut grad, parameters.embedding_norm.weight.value, parameters.embedding_norm.grads());
        let padding = encoder.embeddings.padding.map(|id| id as usize);
        for (&Token { word, position, token_type }, grad) in self.ids.iter().zip(grad.chunks_exact(width)) {
            let add = |table: &mut Parameter, row: usize| {
                table.grad[row * width..][..width].iter_mut().zip(grad).for_each(|(sum, x)| *sum += x);
            };
            if Some(word) != padding {
                add(&mut parameters.words, word); // torch.nn.Embedding: padding_idx has no gradient
            }
            add(&mut parameters.positions, position);
            if let Some(token_types) = &mut parameters.token_types {
                add(token_types, token_type);
            }
        }
    }
}

/// y = x Wᵀ + b.
fn linear(factor: &mut Factor, affine: &Affine, x: &Rows, out: &mut Vec<f32>) {
    factor.pack_transposed(&[affine.weight.value], x.width());
    factor.multiply_bias(x, affine.bias.value, out);
}

/// Adds to the gradients of layers whose outputs stand side by side in `grad`, (tokens, outputs): dW += dYᵀ X and db += Σ
/// dY.
fn backward_weight(layers: &mut [&mut Affine], grad: &[f32], x: &Rows, transposed: &mut Rows, factor: &mut Factor) {
    let outputs = grad.len() / x.tokens();
    transposed.encode_transposed(grad, outputs);
    factor.pack_rows(x);
    let mut first = 0;
    for affine in layers {
        let count = affine.bias.value.len();
        factor.multiply_add(transposed, first..first + count, affine.weight.grad);
        add_column_sums(grad, outputs, first..first + count, affine.bias.grad);
        first += count;
    }
}

//! The variables of an encoder as plain numbers, laid out for products in one format.

use kernels::{Format, Linear, Norm, Relative, Rows};
use tch::Tensor;

use crate::{
    architecture::{self, Affine, Centre, Embeddings, RelativePositions, RelativeProjections, Table},
    error::Error,
    slices,
};

/// Gives an encoder's variable by its name; its shape is known.
pub(crate) type Read<'a> = dyn Fn(&str, &[i64]) -> Result<Tensor, Error> + 'a;

/// What is added to the embedding of a word: a row for each position, once for each token type.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) table: Option<Vec<f32>>, // (types · positions, width)
    has_positions: bool,
    of_type: usize, // rows of a type
    types: usize,
}

impl Places {
    /// The row of a token.
    pub(super) fn row(&self, position: usize, token_type: usize) -> usize {
        let position = if self.has_positions { position } else { 0 };
        token_type.min(self.types - 1) * self.of_type + position
    }
}

pub(super) struct Weights<'a> {
    read: &'a Read<'a>,
    format: Format,
}

impl<'a> Weights<'a> {
    pub(super) fn new(read: &'a Read<'a>, format: Format) -> Self {
        Self { read, format }
    }

    fn get(&self, path: &str, what: &str, shape: &[i64]) -> Result<Vec<f32>, Error> {
        let variable = (self.read)(&format!("{path}.{what}"), shape)?;
        Ok(slices::to_vec(&variable)?)
    }

    fn table(&self, table: &Table) -> Result<Vec<f32>, Error> {
        self.get(&table.path, "weight", &[table.rows, table.width])
    }

    /// The embeddings of words, and those of positions and the first `types` token types.
    pub(super) fn embeddings(&self, embeddings: &Embeddings, types: usize) -> Result<(Vec<f32>, Places), Error> {
        let Embeddings { words, positions, token_types, .. } = embeddings;
        let width = words.width as usize;
        let mut words = self.table(words)?;
        let positions = positions.as_ref().map(|table| self.table(table)).transpose()?;
        let mut kinds = token_types.as_ref().map(|table| self.table(table)).transpose()?;
        if let Some(kinds) = &mut kinds {
            kinds.truncate(types.max(1) * width);
        }
        let add = |rows: &mut [f32], kind: &[f32]| {
            rows.chunks_exact_mut(width).for_each(|row| row.iter_mut().zip(kind).for_each(|(x, kind)| *x += kind));
        };
        let table = match (positions, kinds) {
            (Some(positions), Some(kinds)) => {
                let of_type = |kind: &[f32]| {
                    let mut rows = positions.clone();
                    add(&mut rows, kind);
                    rows
                };
                Some(kinds.chunks_exact(width).flat_map(of_type).collect())
            }
            // A single text is all type 0.
            (None, Some(kinds)) if kinds.len() == width => {
                add(&mut words, &kinds);
                None
            }
            (positions, kinds) => positions.or(kinds),
        };
        let of_type = embeddings.positions.as_ref().map_or(1, |positions| positions.rows as usize);
        let types = table.as_ref().map_or(1, |table: &Vec<f32>| (table.len() / width / of_type).max(1));
        Ok((words, Places { table, has_positions: embeddings.positions.is_some(), of_type, types }))
    }

    pub(super) fn norm(&self, norm: &architecture::Norm) -> Result<Norm, Error> {
        let get = |what: &str| self.get(&norm.path, what, &[norm.width]);
        let bias = if norm.bias { get("bias")? } else { vec![0.0; norm.width as usize] };
        Ok(Norm { weight: get("weight")?, bias, eps: norm.eps as f32, is_centred: norm.centre == Centre::Mean })
    }

    /// Products of one input as one that gives their outputs side by side.
    pub(super) fn linear(&self, parts: &[Affine]) -> Result<Linear, Error> {
        self.linear_in(self.format, parts)
    }

    fn linear_in(&self, format: Format, parts: &[Affine]) -> Result<Linear, Error> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for Affine { path, input, output, bias: has_bias } in parts {
            append(&mut weight, self.get(path, "weight", &[*output, *input])?);
            let zeros = || vec![0.0; *output as usize];
            append(&mut bias, if *has_bias { self.get(path, "bias", &[*output])? } else { zeros() });
        }
        Ok(Linear::new(format, &weight, &bias))
    }

    /// The embeddings of relative positions, (rows, hidden).
    pub(super) fn relative_table(&self, relative: &RelativePositions) -> Result<Vec<f32>, Error> {
        let mut table = self.table(&relative.table)?;
        if let Some(norm) = &relative.norm {
            self.norm(norm)?.apply(&mut table);
        }
        Ok(table)
    }

    /// What a layer makes of them. They are the same for every sentence, and computed in f32.
    pub(super) fn relative(
        &self,
        projections: &RelativeProjections,
        table: &[f32],
        positions: &RelativePositions,
        heads: i64,
        longest: i64,
    ) -> Result<Relative, Error> {
        let mut rows = Rows::new(Format::F32, positions.table.width as usize);
        rows.encode(table);
        let project = |affine: &Affine| -> Result<Vec<f32>, Error> {
            let mut projected = Vec::new();
            self.linear_in(Format::F32, std::slice::from_ref(affine))?.forward(&rows, None, &mut projected);
            Ok(projected)
        };
        let keys = projections.keys.as_ref().map(project).transpose()?;
        let queries = projections.queries.as_ref().map(project).transpose()?;
        let buckets = (1 - longest..longest).map(|distance| positions.bucket(distance) as u32).collect();
        Ok(Relative::new(self.format, heads as usize, keys.as_deref(), queries.as_deref(), buckets))
    }

    /// A convolution as a product of neighbours that stand side by side: its weight is (output, input, kernel).
    pub(super) fn convolution(&self, convolution: &architecture::Convolution) -> Result<Linear, Error> {
        let (width, kernel) = (convolution.norm.width, convolution.kernel);
        let weight = self.get(&convolution.path, "weight", &[width, width, kernel])?;
        let bias = self.get(&convolution.path, "bias", &[width])?;
        let (width, kernel) = (width as usize, kernel as usize);
        let mut turned = vec![0.0; weight.len()];
        for (from, to) in weight.chunks_exact(width * kernel).zip(turned.chunks_exact_mut(width * kernel)) {
            for (input, from) in from.chunks_exact(kernel).enumerate() {
                from.iter().enumerate().for_each(|(place, x)| to[place * width + input] = *x);
            }
        }
        Ok(Linear::new(self.format, &turned, &bias))
    }
}

/// The first part keeps its memory.
fn append(all: &mut Vec<f32>, part: Vec<f32>) {
    if all.is_empty() { *all = part } else { all.extend(part) }
}

//! Where training drops, and with which mask.

use kernels::Dropout;

use super::PostNorm;

/// Dropout of one pass; each place that drops has a mask of its own.
#[derive(Clone, Copy)]
pub(super) struct Dropouts<'a> {
    pub(super) encoder: &'a PostNorm,
    pub(super) seed: Option<u64>,
}

impl Dropouts<'_> {
    fn of(&self, probability: f64, place: usize) -> Option<Dropout> {
        // An odd factor leaves no two places alike.
        let seed = self.seed?.wrapping_add((place as u64 + 1).wrapping_mul(0xd1b5_4a32_d192_ed03));
        Dropout::new(probability, seed)
    }

    pub(super) fn embeddings(&self) -> Option<Dropout> {
        self.of(self.encoder.embeddings.dropout, 0)
    }

    pub(super) fn attention(&self, layer: usize) -> Option<Dropout> {
        self.of(self.encoder.layers[layer].weights_dropout, 3 * layer + 1)
    }

    pub(super) fn attended(&self, layer: usize) -> Option<Dropout> {
        self.of(self.encoder.layers[layer].attention_dropout, 3 * layer + 2)
    }

    pub(super) fn output(&self, layer: usize) -> Option<Dropout> {
        self.of(self.encoder.layers[layer].output_dropout, 3 * layer + 3)
    }
}

/// Masks each row; nothing without dropout.
pub(super) fn drop_out(matrix: &mut [f32], width: usize, dropout: Option<Dropout>) {
    if let Some(dropout) = dropout {
        dropout.apply(matrix, width);
    }
}

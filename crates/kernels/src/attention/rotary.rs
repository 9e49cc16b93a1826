//! Queries and keys before they meet: norms of heads, and rotations to their positions.
//!
//! Source: Su et al., RoFormer (2021); which numbers make a pair, as transformers has it (`rotate_half`).

use rayon::prelude::*;

use crate::{norm::Norm, vectorize::vectorize};

/// Tokens that one thread works on in a go.
const FEW: usize = 8;

/// Cosines and sines by which pairs of a head's numbers are rotated at each position.
#[derive(Debug)]
pub struct Rotary {
    cosines: Vec<f32>, // (positions, head / 2)
    sines: Vec<f32>,   // (positions, head / 2)
}

impl Rotary {
    /// For positions from 0 on; pair i of a head turns by θ^(−2i / head) a position.
    pub fn new(theta: f64, head: usize, positions: usize) -> Self {
        // In f32 where the source computes in it: of a far position, an angle's rounding is seen.
        let frequency = |pair: usize| 1.0 / (theta.powf(f64::from((2 * pair) as f32 / head as f32)) as f32);
        let frequencies: Vec<f32> = (0..head / 2).map(frequency).collect();
        let angles = (0..positions).flat_map(|position| frequencies.iter().map(move |turn| position as f32 * turn));
        let (sines, cosines) =
            angles.map(|angle| f64::from(angle).sin_cos()).map(|(s, c)| (s as f32, c as f32)).unzip();
        Self { cosines, sines }
    }

    /// Turns a head that stands at a position.
    #[inline(always)]
    fn turn(&self, position: usize, head: &mut [f32]) {
        let half = head.len() / 2;
        let (first, second) = head.split_at_mut(half);
        let turns = self.cosines[position * half..].iter().zip(&self.sines[position * half..]);
        for ((x, y), (cosine, sine)) in first.iter_mut().zip(second).zip(turns) {
            (*x, *y) = (*x * cosine - *y * sine, *y * cosine + *x * sine);
        }
    }
}

/// Brings each head of queries and keys to its norm, and turns it to its token's position: `qkv` is (tokens, width), in
/// which heads of queries come first, then as many of keys as there are of values.
pub fn prepare_heads(
    qkv: &mut [f32],
    [heads, kv_heads, head]: [usize; 3],
    norms: Option<&[Norm; 2]>,
    rotary: Option<&Rotary>,
    positions: &[usize],
) {
    let rows = qkv.par_chunks_exact_mut((heads + 2 * kv_heads) * head).zip(positions).with_min_len(FEW);
    rows.for_each(|(row, &position)| {
        vectorize(
            #[inline(always)]
            || {
                for (index, part) in row.chunks_exact_mut(head).take(heads + kv_heads).enumerate() {
                    if let Some([of_queries, of_keys]) = norms {
                        if index < heads { of_queries } else { of_keys }.row(part);
                    }
                    if let Some(rotary) = rotary {
                        rotary.turn(position, part);
                    }
                }
            },
        );
    });
}

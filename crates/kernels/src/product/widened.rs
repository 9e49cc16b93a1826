//! Products in bf16 where nothing multiplies it: numbers are widened to f32, rows once for all strips that they meet in
//! turn, and a strip part by part for all rows of a block. Saves memory, and takes the time of f32.

use bytemuck::Zeroable;

use super::Sums;
use crate::{
    convert::widened,
    lane::{BANK, Lane, STRIP, Strip},
    vectorize::vectorize,
};

/// Groups that are widened at once: a strip's then fill 32 KiB, the smallest first cache.
const CHUNK: usize = 64;

/// Rows in f32, made of some in bf16.
#[derive(Default)]
pub(super) struct Wide {
    rows: Vec<u32>,
    groups: usize, // of bf16
    lanes: Vec<Lane>,
}

impl Wide {
    fn stride(&self) -> usize {
        2 * self.groups + BANK
    }

    /// Widens `count` rows of `groups`, `stride` apart.
    pub(super) fn take(&mut self, a: &[u32], stride: usize, groups: usize, count: usize) {
        self.groups = groups;
        let wide = self.stride();
        self.rows.resize(count * wide, 0);
        vectorize(
            #[inline(always)]
            || {
                for (wide, a) in self.rows.chunks_exact_mut(wide).zip(a.chunks(stride)) {
                    for (wide, a) in wide.chunks_mut(2 * CHUNK).zip(a[..groups].chunks(CHUNK)) {
                        widen(a, &mut wide[..2 * a.len()]);
                    }
                }
            },
        );
    }

    /// See [`super::Product::multiply`]; `add` adds the products of rows, a stride apart, with a strip, both in f32, and may
    /// fetch a part of `ahead`.
    pub(super) fn multiply(
        &mut self,
        strip: Strip,
        panels: usize,
        ahead: &[Lane],
        sums: &mut [Sums],
        add: impl Fn(&[u32], usize, Strip, &[Lane], &mut [Sums]),
    ) {
        sums.fill(Zeroable::zeroed());
        self.lanes.resize(STRIP * 2 * CHUNK, Lane::zeroed());
        for start in (0..strip.groups()).step_by(CHUNK) {
            let part = strip.part(start..strip.groups().min(start + CHUNK));
            let len = part.groups();
            let lanes = &mut self.lanes[..STRIP * 2 * len];
            vectorize(
                #[inline(always)]
                || {
                    for (panel, wide) in lanes.chunks_exact_mut(2 * len).take(panels).enumerate() {
                        widen(bytemuck::cast_slice(part.panel(panel)), bytemuck::cast_slice_mut(wide));
                    }
                },
            );
            let lanes = Strip::new(&self.lanes[..STRIP * 2 * len], 2 * len);
            let ahead = ahead.get(STRIP * start..ahead.len().min(STRIP * (start + len))).unwrap_or(&[]);
            add(&self.rows[2 * start..], self.stride(), lanes, ahead, sums);
        }
    }
}

/// All first numbers of groups, then all second ones: a sum has no order.
#[inline(always)]
fn widen(groups: &[u32], wide: &mut [u32]) {
    let (first, second) = wide.split_at_mut(groups.len());
    first.iter_mut().zip(groups).for_each(|(wide, group)| *wide = widened(*group)[0]);
    second.iter_mut().zip(groups).for_each(|(wide, group)| *wide = widened(*group)[1]);
}

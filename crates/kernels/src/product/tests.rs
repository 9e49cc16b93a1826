//! Every unit's products beside those of the portable one, AMX's by a model of its tiles where the processor has none.

use bytemuck::Zeroable;

use super::{
    amx::{GROUPS, Registers, Tiles},
    *,
};
use crate::processor::Level;

/// The tile registers as the manual describes them, of one palette: what is not as it demands panics.
#[derive(Default)]
pub(crate) struct Model {
    configured: bool,
    rows: [u8; 8],
    tiles: [[[u32; GROUPS]; 16]; 8],
}

impl Model {
    fn rows<const TILE: usize>(&self) -> usize {
        assert!(self.configured && self.rows[TILE] > 0, "tile {TILE} is not configured");
        usize::from(self.rows[TILE])
    }
}

impl Tiles for Model {
    fn configure(&mut self, rows: [u8; 8]) {
        assert!(rows.iter().all(|rows| *rows <= 16));
        *self = Self { configured: true, rows, tiles: Default::default() };
    }

    fn zero<const TILE: usize>(&mut self) {
        self.rows::<TILE>();
        self.tiles[TILE] = Default::default();
    }

    fn load<const TILE: usize>(&mut self, from: &[u32], stride: usize) {
        for row in 0..self.rows::<TILE>() {
            self.tiles[TILE][row].copy_from_slice(&from[row * stride..][..GROUPS]);
        }
    }

    /// TDPBF16PS sums even and odd products apart and then both with what was there; TDPBUSD does not saturate.
    fn multiply_add<const SUM: usize, const A: usize, const B: usize>(&mut self, format: Format) {
        assert!(self.rows::<SUM>() == self.rows::<A>() && self.rows::<B>() == GROUPS);
        for row in 0..self.rows::<SUM>() {
            for column in 0..GROUPS {
                let groups = (0..GROUPS).map(|k| (self.tiles[A][row][k], self.tiles[B][k][column]));
                let sum = self.tiles[SUM][row][column];
                let sum = match format {
                    Format::F32 => unreachable!(),
                    Format::Bf16 => {
                        let mut partial = [0.0f32; 2];
                        for (a, b) in groups.map(|(a, b)| (crate::convert::widened(a), crate::convert::widened(b))) {
                            for half in 0..2 {
                                partial[half] = f32::from_bits(a[half]).mul_add(f32::from_bits(b[half]), partial[half]);
                            }
                        }
                        (f32::from_bits(sum) + (partial[0] + partial[1])).to_bits()
                    }
                    Format::Int8 => groups.fold(sum, |sum, (a, b)| sum.wrapping_add(portable::dot_int8(a, b) as u32)),
                };
                self.tiles[SUM][row][column] = sum;
            }
        }
    }

    fn store<const TILE: usize>(&self, to: &mut [u32], stride: usize) {
        for row in 0..self.rows::<TILE>() {
            to[row * stride..][..GROUPS].copy_from_slice(&self.tiles[TILE][row]);
        }
    }

    fn release(&mut self) {
        *self = Self::default();
    }
}

/// The processor's tiles, or a model where it has none.
pub(crate) enum Either {
    Registers(Registers),
    Model(Box<Model>),
}

impl Default for Either {
    fn default() -> Self {
        if amx::is_permitted() { Self::Registers(Registers::default()) } else { Self::Model(Box::default()) }
    }
}

macro_rules! either {
    ($self:ident, $tiles:ident => $body:expr) => {
        match $self {
            Either::Registers($tiles) => $body,
            Either::Model($tiles) => $body,
        }
    };
}

impl Tiles for Either {
    fn configure(&mut self, rows: [u8; 8]) {
        either!(self, tiles => tiles.configure(rows));
    }
    fn zero<const TILE: usize>(&mut self) {
        either!(self, tiles => tiles.zero::<TILE>());
    }
    fn load<const TILE: usize>(&mut self, from: &[u32], stride: usize) {
        either!(self, tiles => tiles.load::<TILE>(from, stride));
    }
    fn multiply_add<const SUM: usize, const A: usize, const B: usize>(&mut self, format: Format) {
        either!(self, tiles => tiles.multiply_add::<SUM, A, B>(format));
    }
    fn store<const TILE: usize>(&self, to: &mut [u32], stride: usize) {
        either!(self, tiles => tiles.store::<TILE>(to, stride));
    }
    fn release(&mut self) {
        either!(self, tiles => tiles.release());
    }
}

/// The units that can be run here, AMX by its model if need be.
fn units(format: Format) -> Vec<Unit> {
    let machine = Level::of_the_machine();
    let levels = [
        (Unit::Avx2, Level::Avx2, true),
        (Unit::Avx512, Level::Avx512, true),
        (Unit::Avx512Vnni, Level::Avx512Vnni, format == Format::Int8),
        (Unit::Avx512Bf16, Level::Avx512Bf16, format == Format::Bf16),
    ];
    let units = levels.into_iter().filter(|(_, level, serves)| *serves && *level <= machine).map(|(unit, ..)| unit);
    units.chain((format != Format::F32).then_some(Unit::Amx)).collect()
}

/// Bits that are ordinary numbers in each format: of f32 and bf16 1.0 to 2.0, bytes 0 to 63.
fn number(format: Format, index: usize) -> u32 {
    let bits = (index as u32).wrapping_mul(0x9e37_79b9);
    if format == Format::Int8 { bits & 0x3f3f_3f3f } else { bits & 0x003f_003f | 0x3f80_3f80 }
}

#[test]
fn sums_of_every_unit_equal_the_portable_ones() {
    let many = if cfg!(miri) { 16 } else { 608 }; // an interpreter takes its time
    for format in Format::ALL {
        for unit in units(format) {
            let product = Product { format, unit };
            for groups in [16, many, many - 7] {
                let groups = product.groups(groups * format.per_group());
                let stride = product.stride(groups);
                let a: Vec<u32> = (0..50 * stride).map(|index| number(format, index)).collect();
                let lanes: Vec<Lane> = (0..groups * STRIP)
                    .map(|lane| Lane(std::array::from_fn(|index| number(format, 7 + 16 * lane + index))))
                    .collect();
                let strip = Strip::new(&lanes, groups);
                for (rows, panels) in (1..=11).map(|rows| (rows, STRIP)).chain([(16, 2), (17, 3), (33, 1), (50, 4)]) {
                    let mut expected = vec![Sums::zeroed(); rows];
                    portable::multiply(format, &a, stride, strip, panels, &mut expected);
                    let mut found = vec![[Lane([u32::MAX; PANEL]); STRIP]; rows]; // what they held is lost
                    product.multiply(&a, stride, strip, panels, &[], &mut found);
                    let pairs = found.iter().zip(&expected).flat_map(|(a, b)| a[..panels].iter().zip(&b[..panels]));
                    for (found, expected) in pairs.flat_map(|(found, expected)| found.0.into_iter().zip(expected.0)) {
                        let same = match format {
                            Format::Int8 => found == expected,
                            _ => (f32::from_bits(found) / f32::from_bits(expected) - 1.0).abs() < 1e-5,
                        };
                        assert!(same, "{product:?} {rows} rows, {groups} groups: {found:x} {expected:x}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_among_any_number_of_rows_of_every_unit() {
    for format in Format::ALL {
        for unit in units(format) {
            let product = Product { format, unit };
            let groups = product.groups(90 * format.per_group());
            let stride = product.stride(groups);
            let a: Vec<u32> = (0..70 * stride).map(|index| number(format, index)).collect();
            let lanes: Vec<Lane> = (0..groups * STRIP)
                .map(|lane| Lane(std::array::from_fn(|index| number(format, 7 + 16 * lane + index))))
                .collect();
            let strip = Strip::new(&lanes, groups);
            let mut all = vec![Sums::zeroed(); 70];
            product.multiply(&a, stride, strip, STRIP, &[], &mut all);
            for row in [0, 5, 16, 37, 69] {
                let mut alone = [Sums::zeroed()];
                product.multiply(&a[row * stride..], stride, strip, STRIP, &[], &mut alone);
                assert!(alone[0].iter().zip(&all[row]).all(|(alone, all)| alone.0 == all.0), "{product:?} {row}");
            }
        }
    }
}

#[test]
fn rows_of_tiles_begin_on_cache_lines_an_odd_number_apart() {
    for numbers in [1, 31, 32, 33, 768, 3072] {
        let product = Product { format: Format::Bf16, unit: Unit::Amx };
        let groups = product.groups(numbers);
        let stride = product.stride(groups);
        assert!(groups.is_multiple_of(GROUPS) && groups * 2 >= numbers && stride >= groups);
        assert!(stride.is_multiple_of(LINE) && stride / LINE % 2 == 1, "{numbers}");
    }
}

//! Products in AMX: tiles of 16 rows of `a` times tiles of 16 columns, 16 groups at a time.
//!
//! A [`Lane`](crate::lane::Lane) is a row of a tile of the right side, so that 16 of a panel are one. Of eight registers
//! four hold sums, of 32 rows with two panels, two the rows, and two the panels. Source: Intel, Software Developer's
//! Manual, volume 1, chapter 18, and volume 2, LDTILECFG to TDPBUSD.

use std::{arch::asm, sync::LazyLock};

use super::Sums;
use crate::{
    format::Format,
    lane::{PANEL, STRIP, Strip},
};

/// Groups of a tile's row; its inner dimension.
pub(super) const GROUPS: usize = 16;

/// Rows of a tile.
const ROWS: usize = 16;

/// Rows that are multiplied at once.
const PAIR: usize = 2 * ROWS;

/// The tile registers, by their numbers, and what is done with them: the processor's, or a model of them.
pub(crate) trait Tiles {
    /// Sets the number of rows of each register; all have [`GROUPS`] columns of 32 bits. One without rows is not used.
    fn configure(&mut self, rows: [u8; 8]);
    /// Zeros a register.
    fn zero<const TILE: usize>(&mut self);
    /// Reads a register's rows, the first at the head of `from`, each `stride` after the one before.
    fn load<const TILE: usize>(&mut self, from: &[u32], stride: usize);
    /// Adds the product of two registers to a third: bf16 × bf16 or u8 × i8.
    fn multiply_add<const SUM: usize, const A: usize, const B: usize>(&mut self, format: Format);
    /// Writes a register's rows.
    fn store<const TILE: usize>(&self, to: &mut [u32], stride: usize);
    /// Leaves no state that a switch of threads would have to save.
    fn release(&mut self);
}

/// See [`super::Product::multiply`]. `strip` has whole tiles, and so have the rows of `a`.
pub(super) fn multiply(
    tiles: &mut impl Tiles,
    format: Format,
    a: &[u32],
    stride: usize,
    strip: Strip,
    panels: usize,
    sums: &mut [Sums],
) {
    assert!(strip.groups().is_multiple_of(GROUPS), "whole tiles");
    let mut configured = [0; 8];
    for (index, sums) in sums.chunks_mut(PAIR).enumerate() {
        let upper = sums.len().min(ROWS) as u8;
        let lower = (sums.len() - usize::from(upper)) as u8;
        let rows = [upper, upper, lower, lower, upper, lower, ROWS as u8, ROWS as u8];
        if rows != configured {
            tiles.configure(rows);
            configured = rows;
        }
        let (a, sums) = (&a[index * PAIR * stride..], bytemuck::cast_slice_mut(sums));
        for panel in (0..panels).step_by(2) {
            if lower > 0 {
                two_panels::<true>(tiles, format, a, stride, strip, panel, sums);
            } else {
                two_panels::<false>(tiles, format, a, stride, strip, panel, sums);
            }
        }
    }
    tiles.release();
}

/// From a row of sums to the next.
const SUMS: usize = STRIP * PANEL;

/// Rows times two panels; with `LOWER` there are more than 16.
#[inline(always)]
fn two_panels<const LOWER: bool>(
    tiles: &mut impl Tiles,
    format: Format,
    a: &[u32],
    stride: usize,
    strip: Strip,
    panel: usize,
    sums: &mut [u32],
) {
    let [left, right] = [strip.panel(panel), strip.panel(panel + 1)].map(bytemuck::cast_slice);
    tiles.zero::<0>();
    tiles.zero::<1>();
    if LOWER {
        tiles.zero::<2>();
        tiles.zero::<3>();
    }
    for group in (0..strip.groups()).step_by(GROUPS) {
        tiles.load::<4>(&a[group..], stride);
        tiles.load::<6>(&left[group * PANEL..], PANEL);
        tiles.multiply_add::<0, 4, 6>(format);
        tiles.load::<7>(&right[group * PANEL..], PANEL);
        tiles.multiply_add::<1, 4, 7>(format);
        if LOWER {
            tiles.load::<5>(&a[ROWS * stride + group..], stride);
            tiles.multiply_add::<2, 5, 6>(format);
            tiles.multiply_add::<3, 5, 7>(format);
        }
    }
    let start = panel * PANEL;
    tiles.store::<0>(&mut sums[start..], SUMS);
    tiles.store::<1>(&mut sums[start + PANEL..], SUMS);
    if LOWER {
        tiles.store::<2>(&mut sums[ROWS * SUMS + start..], SUMS);
        tiles.store::<3>(&mut sums[ROWS * SUMS + start + PANEL..], SUMS);
    }
}

/// Calls `body` with the processor's tiles; in tests, where it has none, with their model.
pub(super) fn with_tiles(body: impl FnOnce(&mut Processors)) {
    body(&mut Processors::default());
}

#[cfg(not(test))]
pub(super) type Processors = Registers;
#[cfg(test)]
pub(super) type Processors = super::tests::Either;

/// The processor's tile registers. The compiler knows nothing of them: what holds between two of these functions is what
/// the instructions say.
#[derive(Debug, Default)]
pub(crate) struct Registers {
    rows: [u8; 8],
}

impl Registers {
    /// Whether a register's rows, `stride` apart, are within `len`.
    fn fits<const TILE: usize>(&self, len: usize, stride: usize) -> bool {
        self.rows[TILE] > 0 && len >= (usize::from(self.rows[TILE]) - 1) * stride + GROUPS
    }
}

impl Tiles for Registers {
    fn configure(&mut self, rows: [u8; 8]) {
        /// As LDTILECFG reads it.
        #[repr(C, align(64))]
        struct Configuration {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            bytes_of_a_row: [u16; 16],
            rows: [u8; 16],
        }
        let mut configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], bytes_of_a_row: [0; 16], rows: [0; 16] };
        for (tile, rows) in rows.into_iter().enumerate().filter(|(_, rows)| *rows > 0) {
            assert!(usize::from(rows) <= ROWS);
            configuration.bytes_of_a_row[tile] = 4 * GROUPS as u16;
            configuration.rows[tile] = rows;
        }
        self.rows = rows;
        // SAFETY: the system permits tiles, and the configuration is one that the manual allows.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, preserves_flags, readonly))
        };
    }

    #[inline(always)]
    fn zero<const TILE: usize>(&mut self) {
        assert!(self.rows[TILE] > 0);
        // SAFETY: the register is configured.
        unsafe { asm!("tilezero tmm{tile}", tile = const TILE, options(nostack, preserves_flags, nomem)) };
    }

    #[inline(always)]
    fn load<const TILE: usize>(&mut self, from: &[u32], stride: usize) {
        assert!(self.fits::<TILE>(from.len(), stride));
        // SAFETY: the register is configured, and its rows lie within `from`.
        unsafe {
            asm!(
                "tileloadd tmm{tile}, [{from} + {stride}*1]",
                tile = const TILE, from = in(reg) from.as_ptr(), stride = in(reg) 4 * stride,
                options(nostack, preserves_flags, readonly)
            );
        }
    }

    #[inline(always)]
    fn multiply_add<const SUM: usize, const A: usize, const B: usize>(&mut self, format: Format) {
        // SAFETY: all are configured, with 16 groups each; `A` has the rows of the sums, and `B` 16.
        unsafe {
            match format {
                Format::F32 => unreachable!("tiles have no product of f32"),
                Format::Bf16 => asm!(
                    "tdpbf16ps tmm{sum}, tmm{a}, tmm{b}",
                    sum = const SUM, a = const A, b = const B,
                    options(nostack, preserves_flags, nomem)
                ),
                Format::Int8 => asm!(
                    "tdpbusd tmm{sum}, tmm{a}, tmm{b}",
                    sum = const SUM, a = const A, b = const B,
                    options(nostack, preserves_flags, nomem)
                ),
            }
        }
    }

    #[inline(always)]
    fn store<const TILE: usize>(&self, to: &mut [u32], stride: usize) {
        assert!(self.fits::<TILE>(to.len(), stride));
        // SAFETY: the register is configured, and its rows lie within `to`.
        unsafe {
            asm!(
                "tilestored [{to} + {stride}*1], tmm{tile}",
                tile = const TILE, to = in(reg) to.as_mut_ptr(), stride = in(reg) 4 * stride,
                options(nostack, preserves_flags)
            );
        }
    }

    fn release(&mut self) {
        self.rows = [0; 8];
        // SAFETY: the system permits tiles.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
    }
}

/// Whether the processor has tiles for both formats and the system lets this process use them, for which it is asked once.
pub(crate) fn is_permitted() -> bool {
    const BF16: u32 = 1 << 22; // of CPUID leaf 7, EDX
    const TILE: u32 = 1 << 24;
    const INT8: u32 = 1 << 25;
    static PERMITTED: LazyLock<bool> = LazyLock::new(|| {
        let largest = std::arch::x86_64::__cpuid(0).eax;
        let all = BF16 | TILE | INT8;
        largest >= 7 && std::arch::x86_64::__cpuid_count(7, 0).edx & all == all && permission()
    });
    *PERMITTED
}

/// Asks Linux for the tiles' state: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA), which a kernel before 5.16 does
/// not know, and some containers refuse. Source: Linux, Documentation/arch/x86/xstate.rst.
#[cfg(target_os = "linux")]
fn permission() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    let result: i64;
    // SAFETY: the call reads and writes no memory of the process.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _, out("r11") _, options(nostack)
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn permission() -> bool {
    false
}

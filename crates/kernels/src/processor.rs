//! What the processor is: how loops are vectorized, and which unit of it computes the products of each number format.
//!
//! Both follow from one [`Level`], the highest that the processor and the system allow, or a lower one by [`VARIABLE`].

use std::{fmt, str::FromStr, sync::LazyLock};

use crate::{format::Format, product::amx};

/// The environment variable that lowers the level: a name of [`Level`].
pub const VARIABLE: &str = "KO_STS_CPU";

/// Instructions that are used, each level with all those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// None but those that every x86-64 processor has.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512: F, BW, DQ and VL.
    Avx512,
    /// AVX-512 with VNNI.
    Avx512Vnni,
    /// AVX-512 with VNNI and BF16.
    Avx512Bf16,
    /// AMX with its BF16 and INT8.
    Amx,
}

impl Level {
    /// All, the lowest first.
    pub const ALL: [Level; 6] =
        [Level::Portable, Level::Avx2, Level::Avx512, Level::Avx512Vnni, Level::Avx512Bf16, Level::Amx];

    /// The highest that this processor and this system allow.
    pub fn of_the_machine() -> Level {
        static LEVEL: LazyLock<Level> = LazyLock::new(|| {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            let has = |level: &Level| match level {
                Level::Portable => true,
                Level::Avx2 => avx2,
                Level::Avx512 => avx512,
                Level::Avx512Vnni => is_x86_feature_detected!("avx512vnni"),
                Level::Avx512Bf16 => is_x86_feature_detected!("avx512bf16"),
                Level::Amx => amx::is_permitted(),
            };
            Level::ALL.into_iter().take_while(has).last().unwrap_or(Level::Portable)
        });
        *LEVEL
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::Avx512Vnni => "avx512-vnni",
            Level::Avx512Bf16 => "avx512-bf16",
            Level::Amx => "amx",
        })
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|level| level.to_string() == text).ok_or_else(|| {
            let names = Self::ALL.map(|level| level.to_string()).join(", ");
            format!("{VARIABLE}: `{text}` is no level of processors, expected one of {names}")
        })
    }
}

/// How loops over numbers are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vectors {
    Portable,
    /// 8 f32 and fused multiply and add.
    Avx2,
    /// 16 f32 and fused multiply and add.
    Avx512,
}

/// What multiplies and sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Portable,
    /// bf16 is widened to f32, and int8 has weights of 7 bits.
    Avx2,
    /// Likewise.
    Avx512,
    /// int8.
    Avx512Vnni,
    /// bf16.
    Avx512Bf16,
    /// bf16 and int8.
    Amx,
}

/// The processor as it is used in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    level: Level,
    bf16: Unit,
}

impl Processor {
    /// The one that this process runs on, with the level of [`VARIABLE`]. One that is no level is of no effect here:
    /// programs check it as they start, by [`Processor::checked`].
    pub fn current() -> Self {
        static CURRENT: LazyLock<Processor> = LazyLock::new(|| {
            Processor::checked().unwrap_or_else(|_| Processor::new(Level::of_the_machine(), None, is_amd()))
        });
        *CURRENT
    }

    /// The same, or what is wrong with the variable.
    pub fn checked() -> Result<Self, String> {
        let named = match std::env::var_os(VARIABLE) {
            None => None,
            Some(name) if name.is_empty() => None,
            Some(name) => Some(name.to_string_lossy().parse()?),
        };
        let machine = Level::of_the_machine();
        // Tests of this crate have a model of AMX.
        let machine = if cfg!(test) && named == Some(Level::Amx) { Level::Amx } else { machine };
        Ok(Self::new(machine, named, is_amd()))
    }

    fn new(machine: Level, named: Option<Level>, is_amd: bool) -> Self {
        let level = named.map_or(machine, |named| named.min(machine));
        let bf16 = match level {
            Level::Portable => Unit::Portable,
            Level::Avx2 => Unit::Avx2,
            Level::Avx512 | Level::Avx512Vnni => Unit::Avx512,
            // Intel's processors take longer for one such step than for two of f32: there it has to be asked for.
            Level::Avx512Bf16 if !is_amd && named != Some(level) => Unit::Avx512,
            Level::Avx512Bf16 => Unit::Avx512Bf16,
            Level::Amx => Unit::Amx,
        };
        Self { level, bf16 }
    }

    /// Instructions that are used.
    pub fn level(self) -> Level {
        self.level
    }

    pub(crate) fn vectors(self) -> Vectors {
        match self.level {
            Level::Portable => Vectors::Portable,
            Level::Avx2 => Vectors::Avx2,
            _ => Vectors::Avx512,
        }
    }

    /// What computes products in this format.
    pub(crate) fn unit(self, format: Format) -> Unit {
        match (format, self.level) {
            (Format::Bf16, _) => self.bf16,
            (_, Level::Portable) => Unit::Portable,
            (_, Level::Avx2) => Unit::Avx2,
            (Format::F32, _) | (Format::Int8, Level::Avx512) => Unit::Avx512,
            (Format::Int8, Level::Avx512Vnni | Level::Avx512Bf16) => Unit::Avx512Vnni,
            (Format::Int8, Level::Amx) => Unit::Amx,
        }
    }

    /// Whether there are vector instructions that are used.
    pub fn is_vectorized(self) -> bool {
        self.level != Level::Portable
    }
}

/// `loops avx512; products f32 avx512, bf16 avx512, int8 avx512-vnni`
impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |unit| match unit {
            Unit::Portable => "portable",
            Unit::Avx2 => "avx2",
            Unit::Avx512 => "avx512",
            Unit::Avx512Vnni => "avx512-vnni",
            Unit::Avx512Bf16 => "avx512-bf16",
            Unit::Amx => "amx",
        };
        let loops = match self.vectors() {
            Vectors::Portable => "portable",
            Vectors::Avx2 => "avx2",
            Vectors::Avx512 => "avx512",
        };
        let [f32, bf16, int8] = Format::ALL.map(|format| name(self.unit(format)));
        write!(f, "loops {loops}; products f32 {f32}, bf16 {bf16}, int8 {int8}")
    }
}

fn is_amd() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_lowers_the_level_and_never_raises_it() {
        for machine in Level::ALL {
            for named in Level::ALL {
                assert_eq!(Processor::new(machine, Some(named), false).level(), named.min(machine));
            }
            assert_eq!(Processor::new(machine, None, false).level(), machine);
        }
    }

    #[test]
    fn each_level_has_its_units() {
        let units = |level, is_amd| Format::ALL.map(|format| Processor::new(level, None, is_amd).unit(format));
        for is_amd in [false, true] {
            assert_eq!(units(Level::Portable, is_amd), [Unit::Portable; 3]);
            assert_eq!(units(Level::Avx2, is_amd), [Unit::Avx2; 3]);
            assert_eq!(units(Level::Avx512, is_amd), [Unit::Avx512; 3]);
            assert_eq!(units(Level::Avx512Vnni, is_amd), [Unit::Avx512, Unit::Avx512, Unit::Avx512Vnni]);
            assert_eq!(units(Level::Amx, is_amd), [Unit::Avx512, Unit::Amx, Unit::Amx]);
        }
        let bf16 = |named, is_amd| Processor::new(Level::Amx, named, is_amd).unit(Format::Bf16);
        assert_eq!(bf16(Some(Level::Avx512Bf16), false), Unit::Avx512Bf16, "asked for by name");
        assert_eq!(units(Level::Avx512Bf16, true)[1], Unit::Avx512Bf16);
        assert_eq!(units(Level::Avx512Bf16, false)[1], Unit::Avx512, "slower than f32 on Intel's");
    }

    #[test]
    fn a_level_that_does_not_exist_is_told_with_those_that_do() {
        let error = "avx1024".parse::<Level>().unwrap_err();
        let expected = "portable, avx2, avx512, avx512-vnni, avx512-bf16, amx";
        assert_eq!(error, format!("KO_STS_CPU: `avx1024` is no level of processors, expected one of {expected}"));
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
    }
}

//! Loops compiled for the widest vectors that are used.

use crate::processor::{Processor, Vectors};

/// Runs `body` compiled for the widest vectors that are used. Only what is inlined into it gains by that: mark the
/// closure, and the functions that it calls, `#[inline(always)]`.
#[inline(always)]
pub(crate) fn vectorize<R>(body: impl FnOnce() -> R) -> R {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
    fn avx512<R>(body: impl FnOnce() -> R) -> R {
        body()
    }
    #[target_feature(enable = "avx2,fma")]
    fn avx2<R>(body: impl FnOnce() -> R) -> R {
        body()
    }
    match Processor::current().vectors() {
        // SAFETY: the processor has these features.
        Vectors::Avx512 => unsafe { avx512(body) },
        // SAFETY: as above.
        Vectors::Avx2 => unsafe { avx2(body) },
        Vectors::Portable => body(),
    }
}

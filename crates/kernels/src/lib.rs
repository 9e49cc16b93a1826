//! The encoder's arithmetic on x86-64 processors, on plain slices, forward and backward: products in f32, bf16 and
//! int8, attention over sentences, norms, activations and dropout; and the optimizer's step.
//!
//! libtorch computes each of these well, and leaves half of a processor's rate between them: an operator reads and
//! writes its tensors whole, a product's inputs are laid out anew at each call, and int8 has no path without several
//! passes over memory. Here weights are laid out once, at load, in the order in which a product reads them
//! ([`Linear`]), or in training anew in each step ([`Factor`]), activations are brought into a product's number format
//! by the step that makes them ([`Rows`]), and one loop serves all formats ([`Format`]).
//!
//! AVX-512 and AVX2 are used where the processor has them; where it has neither, portable code computes the same, slowly
//! ([`Format::is_vectorized`]). The threads are rayon's current pool.

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

mod adamw;
mod attention;
mod dropout;
mod factor;
mod format;
mod lane;
mod linear;
mod panels;
#[allow(unsafe_code)] // Its head says what for.
mod raw;
mod rows;
mod scan;
mod sums;
mod vector;

pub use adamw::{AdamWStep, adamw, square_sum};
pub use attention::{Sentences, attention, attention_backward};
pub use dropout::Dropout;
pub use factor::Factor;
pub use format::Format;
pub use linear::Linear;
pub use raw::vectorize;
pub use rows::Rows;
pub use scan::{scan, scan_bf16, scan_int8};
pub use sums::add_column_sums;
pub use vector::{
    gelu, gelu_derivative, gelu_tanh, gelu_tanh_derivative, layer_norm, layer_norm_backward, normalize, relu,
    relu_derivative,
};

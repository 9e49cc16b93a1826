//! The encoder's arithmetic on x86-64 processors, on plain slices, forward and backward: products in f32, bf16 and
//! int8, attention over sentences, norms, activations and dropout; and the optimizer's step.
//!
//! libtorch computes each of these well, and leaves half of a processor's rate between them: an operator reads and
//! writes its tensors whole, a product's inputs are laid out anew at each call, and int8 has no path without several
//! passes over memory. Here weights are laid out once, at load, in the order in which a product reads them
//! ([`Linear`]), or in training anew in each step ([`Factor`]), activations are brought into a product's number format
//! by the step that makes them ([`Rows`]), and one loop serves all formats ([`Format`]).
//!
//! What the processor has is used ([`Processor`]): AMX, AVX-512 and AVX2; where it has none of them, portable code computes
//! the same, slowly. The threads are rayon's current pool.

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

mod activation;
mod adamw;
mod attention;
#[allow(unsafe_code)] // Several threads write one matrix.
mod blocks;
mod convert;
mod dropout;
mod factor;
mod format;
mod lane;
mod linear;
mod norm;
mod panels;
mod processor;
#[allow(unsafe_code)] // Instructions that not every processor has.
mod product;
mod rows;
mod scan;
mod sums;
#[cfg(test)]
mod tests;
#[allow(unsafe_code)] // As products.
mod transpose;
mod vector;
#[allow(unsafe_code)] // As products.
mod vectorize;

pub use activation::Activation;
pub use adamw::{AdamWStep, adamw, square_sum};
pub use attention::{Attention, Relative, Rotary, Sentences, attention, attention_backward, prepare_heads};
pub use dropout::Dropout;
pub use factor::Factor;
pub use format::Format;
pub use linear::Linear;
pub use norm::{Norm, NormTape, embed};
pub use processor::{Level, Processor, VARIABLE};
pub use rows::Rows;
pub use scan::{scan, scan_bf16, scan_int8};
pub use sums::add_column_sums;

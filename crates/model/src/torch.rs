//! The encoder on libtorch: on GPUs, on processors without the instructions that the kernels need, and what training
//! differentiates there. Nothing outside this room knows how it computes.

mod attention;
mod convolution;
mod embeddings;
mod encoder;
mod head;
mod layer;
mod linear;
mod packed;
mod sentence_model;
mod variables;

pub use self::{encoder::Encoder, packed::PackedBatch};
pub(crate) use self::{
    linear::{Linear, Norm, activate},
    packed::{Packing, Run, Starts},
    sentence_model::SentenceModel,
    variables::Variables,
};

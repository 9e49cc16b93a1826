//! What every program of the workspace stands on: exit status and messages, files and directories that appear whole or not
//! at all, digests and numbers in words. Knows nothing of sentences, tables or tensors.

#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may panic.

pub mod command_line;
mod digest;
mod directory;
mod distinct;
mod error;
mod lock;
mod number;
mod staged;

pub use digest::{hex, sha256_of};
pub use directory::{recover, replace_dir};
pub use distinct::Distinct;
pub use error::Error;
pub use lock::Lock;
pub use number::thousands;
pub use staged::Staged;

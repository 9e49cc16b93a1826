//! Running text, one paragraph a line, read as a stream: memory does not grow with the file.

mod blocks;
mod file;

pub use self::{
    blocks::{BlockPlace, TextBlocks},
    file::TextFile,
};

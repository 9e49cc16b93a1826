//! The sequences of a text, as long as the encoder takes them, in an endless stream that can be taken up anywhere.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::mpsc::{Receiver, sync_channel},
};

use anyhow::{Context, ensure};
use data::{BlockPlace, TextBlocks};
use model::Tokenizer;

use crate::state::StreamPlace;

/// A block's sequences and its place.
type Block = (BlockPlace, VecDeque<Vec<i64>>);

/// Blocks that wait, tokenized, for the one in work to end, so that a GPU need not wait for them. The thread that makes them
/// shares rayon's with the kernels.
const AHEAD: usize = 2;

/// Paragraphs as sequences of tokens; one that is too long is cut into several, and no two share a sequence: a packed batch
/// has no padding that running them together would save.
pub(super) struct Sequences {
    blocks: Receiver<anyhow::Result<Block>>, // its thread ends when this is dropped
    queue: VecDeque<Vec<i64>>,               // of the block in work
    place: StreamPlace,
    given: bool, // whether this pass over the text gave any
}

impl Sequences {
    /// Goes on at `place`; `blocks` stands at its block.
    pub(super) fn new(mut blocks: TextBlocks, tokenizer: Tokenizer, place: StreamPlace) -> anyhow::Result<Self> {
        let (sender, receiver) = sync_channel(AHEAD);
        std::thread::Builder::new().name("tokenize".to_owned()).spawn(move || {
            let special = tokenizer.special_token_ids();
            loop {
                let block = tokenized(&mut blocks, &tokenizer, &special);
                let is_last = block.is_err();
                if sender.send(block).is_err() || is_last {
                    return;
                }
            }
        })?;
        let mut sequences = Self { blocks: receiver, queue: VecDeque::new(), place, given: place.block.block > 0 };
        sequences.next_block()?;
        sequences.queue.drain(..place.taken.min(sequences.queue.len()));
        sequences.place.taken = place.taken;
        Ok(sequences)
    }

    fn next_block(&mut self) -> anyhow::Result<()> {
        let (block, queue) = self.blocks.recv().context("the thread that tokenizes the text has ended")??;
        if block.pass > self.place.block.pass {
            ensure!(self.given, "the text has no token that can be hidden");
            self.given = false;
        }
        self.place = StreamPlace { block, taken: 0 };
        self.queue = queue;
        self.given |= !self.queue.is_empty();
        Ok(())
    }

    /// The next `count` sequences.
    pub(super) fn take(&mut self, count: usize) -> anyhow::Result<Vec<Vec<i64>>> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            match self.queue.pop_front() {
                Some(sequence) => {
                    taken.push(sequence);
                    self.place.taken += 1;
                }
                None => self.next_block()?,
            }
        }
        Ok(taken)
    }

    pub(super) fn place(&self) -> StreamPlace {
        self.place
    }
}

fn tokenized(blocks: &mut TextBlocks, tokenizer: &Tokenizer, special: &BTreeSet<i64>) -> anyhow::Result<Block> {
    let (place, paragraphs) = blocks.next_block()?;
    let windows = tokenizer.encode_windows(&paragraphs)?.into_iter().flatten();
    // What is unknown or special throughout has nothing to guess.
    Ok((place, windows.filter(|ids| ids.iter().any(|id| !special.contains(id))).collect()))
}

#[cfg(test)]
mod tests {
    use model::Alphabet;

    use super::*;
    use data::{DataDir, Exclusion, TextFile};
    use std::sync::Arc;

    #[test]
    fn taken_up_anywhere_the_stream_goes_on_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let text: String = (0..30).map(|number| format!("{}\n", "비가 온다 ".repeat(1 + number % 7))).collect();
        std::fs::write(&path, &text).unwrap();
        let file = TextFile::locate(path.to_str().unwrap(), &DataDir::new(None)).unwrap();
        let tokenizer = Tokenizer::train(&text.lines().collect::<Vec<_>>(), Alphabet::Syllables, 60, 6).unwrap();
        let nothing = Arc::new(Exclusion::load(&[], &DataDir::new(None)).unwrap());
        let at = |place: StreamPlace| {
            let blocks = TextBlocks::new(vec![file.clone()], 5, nothing.clone(), 1, place.block).unwrap();
            Sequences::new(blocks, tokenizer.clone(), place).unwrap()
        };
        let mut whole = at(StreamPlace::default());
        for _ in 0..40 {
            let mut resumed = at(whole.place());
            let next = whole.take(7).unwrap();
            assert!(next.iter().all(|sequence| (3..=6).contains(&sequence.len())));
            assert_eq!(resumed.take(7).unwrap(), next);
        }
        assert!(whole.place().block.pass > 1, "the text was read over and over");
    }
}

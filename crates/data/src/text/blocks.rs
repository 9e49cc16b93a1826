//! Text in blocks, each shuffled, over and over, from any block on.

use std::sync::Arc;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::file::TextFile;
use crate::{
    error::{Error, Problem},
    exclusion::Exclusion,
};

/// Paragraphs that are shuffled among each other.
const BLOCK: usize = 4096;

/// A block of a text that is read over and over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockPlace {
    /// Times that the text was read before, from 0.
    pub pass: u64,
    /// Blocks of this pass before it.
    pub block: u64,
}

/// The paragraphs of some files in blocks, each shuffled; after the last comes the first again, in another order.
pub struct TextBlocks {
    files: Vec<TextFile>,
    skip: usize,
    exclusion: Arc<Exclusion>,
    seed: u64,
    next: BlockPlace,
    kept: usize,                                                  // paragraphs of this pass so far
    rest: Box<dyn Iterator<Item = Result<String, Error>> + Send>, // of the pass
}

impl TextBlocks {
    /// Reads `files` one after the other, from the block `at` on, but for their first `skip` paragraphs and for those that
    /// hold an excluded sentence. The order within a block is a function of `seed` and its place alone.
    ///
    /// # Errors
    /// As [`TextFile::paragraphs`].
    pub fn new(
        files: Vec<TextFile>,
        skip: usize,
        exclusion: Arc<Exclusion>,
        seed: u64,
        at: BlockPlace,
    ) -> Result<TextBlocks, Error> {
        let rest = Box::new(std::iter::empty());
        let mut blocks = TextBlocks { files, skip, exclusion, seed, next: at, kept: at.block as usize, rest };
        blocks.rest = blocks.pass()?;
        for _ in 0..at.block as usize * BLOCK {
            blocks.rest.next().transpose()?;
        }
        Ok(blocks)
    }

    fn pass(&self) -> Result<Box<dyn Iterator<Item = Result<String, Error>> + Send>, Error> {
        let files: Vec<_> = self.files.iter().map(TextFile::paragraphs).collect::<Result<_, _>>()?;
        let mut paragraphs = files.into_iter().flatten();
        for _ in 0..self.skip {
            paragraphs.next().transpose()?;
        }
        Ok(Box::new(paragraphs))
    }

    /// The next block and its place.
    ///
    /// # Errors
    /// As [`TextFile::paragraphs`]; and where no paragraph is left beside those that are skipped.
    pub fn next_block(&mut self) -> Result<(BlockPlace, Vec<String>), Error> {
        // A block is of the file's paragraphs, so that its place is the same with another exclusion.
        let mut block: Vec<String> = self.rest.by_ref().take(BLOCK).collect::<Result<_, _>>()?;
        if block.is_empty() {
            if self.kept == 0 {
                let path = self.files.first().map(|file| file.path().to_owned()).unwrap_or_default();
                return Err(Error::File { path, problem: Problem::NoText { skipped: self.skip } });
            }
            self.next = BlockPlace { pass: self.next.pass + 1, block: 0 };
            self.kept = 0;
            self.rest = self.pass()?;
            block = self.rest.by_ref().take(BLOCK).collect::<Result<_, _>>()?;
        }
        block.retain(|paragraph| !self.exclusion.holds(paragraph));
        self.kept += block.len();
        let place = self.next;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(place.pass << 32 | place.block);
        block.shuffle(&mut rng);
        self.next.block += 1;
        Ok((place, block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;
    use std::{collections::BTreeSet, fs, path::Path};

    fn file(folder: &Path, name: &str, bytes: &[u8]) -> TextFile {
        fs::write(folder.join(name), bytes).unwrap();
        TextFile::locate(folder.join(name).to_str().unwrap(), &DataDir::new(None)).unwrap()
    }

    fn nothing() -> Arc<Exclusion> {
        Arc::new(Exclusion::load(&[], &DataDir::new(None)).unwrap())
    }

    #[test]
    fn a_paragraph_with_an_excluded_sentence_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.csv"), "sentence1,sentence2\n하루 종일 비가 온다.,눈이 온다.\n").unwrap();
        let spec = folder.path().join("x.csv").to_str().unwrap().to_owned();
        let exclusion = Arc::new(Exclusion::load(&[spec], &DataDir::new(None)).unwrap());
        let file = file(folder.path(), "a.txt", "오늘은 하루 종일 비가 온다. 춥다.\n바람이 분다.\n".as_bytes());
        let (_, block) =
            TextBlocks::new(vec![file], 0, exclusion, 7, BlockPlace::default()).unwrap().next_block().unwrap();
        assert_eq!(block, ["바람이 분다."]);
    }

    #[test]
    fn every_pass_gives_every_paragraph_once_in_an_order_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..3 * BLOCK / 2 + 10).map(|number| format!("{number}\n")).collect();
        let file = file(folder.path(), "a.txt", text.as_bytes());
        let mut blocks = TextBlocks::new(vec![file.clone()], 10, nothing(), 7, BlockPlace::default()).unwrap();
        let mut passes = vec![Vec::new(), Vec::new()];
        let mut all = Vec::new();
        for _ in 0..4 {
            let (place, block) = blocks.next_block().unwrap();
            passes[place.pass as usize].extend(block.clone());
            all.push((place, block));
        }
        for pass in &passes {
            let numbers: BTreeSet<usize> = pass.iter().map(|line| line.parse().unwrap()).collect();
            assert_eq!(numbers, (10..3 * BLOCK / 2 + 10).collect());
        }
        assert_ne!(passes[0], passes[1]);
        // Taken up in the middle, it goes on alike.
        for (place, block) in all {
            let mut resumed = TextBlocks::new(vec![file.clone()], 10, nothing(), 7, place).unwrap();
            assert_eq!(resumed.next_block().unwrap(), (place, block));
        }
    }

    #[test]
    fn a_text_that_is_all_held_out_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path(), "a.txt", b"one\ntwo\n");
        let mut blocks = TextBlocks::new(vec![file], 2, nothing(), 7, BlockPlace::default()).unwrap();
        let message = blocks.next_block().unwrap_err().to_string();
        assert!(message.contains("a.txt: no paragraph beside the first 2"), "{message}");
    }
}

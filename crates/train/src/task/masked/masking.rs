//! Which tokens a model has to guess, and what it sees in their place.
//!
//! Source: RoBERTa (Liu et al. 2019, section 4.1) and BERT before it: 15 % of the tokens, drawn anew each time that a text is
//! seen; of these 80 % show the mask, 10 % a random token and 10 % themselves. transformers has it as
//! `DataCollatorForLanguageModeling`.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use model::{MaskedBatch, Tokenizer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const PROBABILITY: f64 = 0.15;
const MASKED: f64 = 0.8;
const RANDOM: f64 = 0.1;

pub(super) struct Masking {
    mask: i64,
    special: BTreeSet<i64>,
    ordinary: Vec<i64>,
}

impl Masking {
    pub(super) fn new(tokenizer: &Tokenizer) -> anyhow::Result<Self> {
        let mask = tokenizer.mask_token_id().context("the tokenizer has no token [MASK] or <mask>, which mlm needs")?;
        let special = tokenizer.special_token_ids();
        let ordinary: Vec<i64> = (0..tokenizer.vocab_size() as i64).filter(|id| !special.contains(id)).collect();
        ensure!(!ordinary.is_empty(), "the tokenizer has special tokens alone");
        Ok(Self { mask, special, ordinary })
    }

    /// Hides tokens of sequences, as `seed` draws them: at least one, unless all are special.
    pub(super) fn mask(&self, mut sequences: Vec<Vec<i64>>, seed: u64) -> MaskedBatch {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tokens = sequences.iter_mut().flatten().enumerate();
        let mut candidates: Vec<(usize, &mut i64)> = tokens.filter(|(_, id)| !self.special.contains(id)).collect();
        let (mut positions, mut labels) = (Vec::new(), Vec::new());
        let mut hide = |(position, id): &mut (usize, &mut i64), draw: f64, random: usize| {
            positions.push(*position as i64);
            labels.push(**id);
            if draw < MASKED {
                **id = self.mask;
            } else if draw < MASKED + RANDOM {
                **id = self.ordinary[random];
            }
        };
        let mut is_any = false;
        for candidate in &mut candidates {
            if rng.random_bool(PROBABILITY) {
                is_any = true;
                hide(candidate, rng.random(), rng.random_range(0..self.ordinary.len()));
            }
        }
        if !is_any && !candidates.is_empty() {
            let chosen = rng.random_range(0..candidates.len());
            hide(&mut candidates[chosen], 0.0, 0);
        }
        MaskedBatch { sequences, positions, labels }
    }
}

#[cfg(test)]
mod tests {
    use model::Alphabet;

    use super::*;

    fn tokenizer() -> Tokenizer {
        Tokenizer::train(&["비가 많이 온다.", "눈이 많이 온다.", "바람이 분다고 한다."], Alphabet::Syllables, 80, 64)
            .unwrap()
    }

    #[test]
    fn tokens_are_hidden_in_robertas_shares_and_special_ones_never() {
        let masking = Masking::new(&tokenizer()).unwrap();
        let ordinary = masking.ordinary[3];
        let sequence: Vec<i64> = [0].into_iter().chain([ordinary; 98]).chain([2]).collect();
        let batch = masking.mask(vec![sequence; 1_000], 7);
        let hidden = batch.positions.len() as f64;
        let seen: Vec<i64> = batch.sequences.concat();
        let share = |what: &dyn Fn(i64) -> bool| {
            batch.positions.iter().filter(|&&position| what(seen[position as usize])).count() as f64 / hidden
        };
        // Three deviations of 98,000 draws at 0.15, and of 14,700 at 0.8 and 0.1.
        assert!((hidden / 98_000.0 - 0.15).abs() < 0.0035, "{hidden}");
        assert!((share(&|id| id == masking.mask) - 0.8).abs() < 0.01);
        // A random token may be the very one that was there.
        let same = 0.1 + 0.1 / masking.ordinary.len() as f64;
        assert!((share(&|id| id == ordinary) - same).abs() < 0.01);
        assert!(batch.labels.iter().all(|&label| label == ordinary));
        assert!(batch.sequences.iter().all(|sequence| sequence[0] == 0 && sequence[99] == 2));
        // What is not to be guessed is left as it was.
        let changed = seen.iter().filter(|&&id| id != ordinary && id != 0 && id != 2).count() as f64;
        assert!((changed / hidden - (1.0 - same)).abs() < 0.01);
    }

    #[test]
    fn masks_are_a_function_of_the_seed_and_never_empty() {
        let masking = Masking::new(&tokenizer()).unwrap();
        let sequences = vec![vec![0, masking.ordinary[0], 2]; 2];
        for seed in 0..100 {
            let (batch, again) = (masking.mask(sequences.clone(), seed), masking.mask(sequences.clone(), seed));
            assert!(!batch.positions.is_empty());
            assert_eq!((batch.positions, batch.sequences), (again.positions, again.sequences));
        }
    }
}

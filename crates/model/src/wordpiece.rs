//! WordPiece tokenizers in BERT's form, trained on sentences.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use serde::Deserialize;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer, Tokenizer,
    decoders::wordpiece::WordPiece as WordPieceDecoder,
    models::{
        TrainerWrapper,
        wordpiece::{WordPiece, WordPieceTrainer},
    },
    normalizers::{BertNormalizer, NFD, Sequence},
    pre_tokenizers::bert::BertPreTokenizer,
    processors::template::TemplateProcessing,
};

use crate::composed::composed;

const PREFIX: &str = "##"; // of a piece that continues a word
/// The trainer takes memory for the whole vocabulary before it looks at the text.
const MAX_VOCAB_SIZE: usize = 1_000_000;
/// Characters of a text that is long enough to tell the rare ones from the rest, and the share of them that its vocabulary
/// covers. Every character of a shorter text has a place. Source of the second: SentencePiece, `character_coverage`, which
/// has 0.9995; a vocabulary without bytes to fall back on does better with more.
const LONG_TEXT: usize = 1_000_000;
const CHARACTER_COVERAGE: f64 = 0.9999;
/// Longer words are unknown; source: BERT. A syllable gives two or three letters, so by letters 100 to 150 syllables are known.
const MAX_CHARACTERS_PER_WORD: usize = 100;
const LETTERS_PER_SYLLABLE: usize = 3;
/// In the order of their ids, as in klue/roberta.
const SPECIAL_TOKENS: [&str; 5] = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"];

/// The characters that a trained tokenizer puts its subwords together from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alphabet {
    /// Hangul syllables as they are written: 갔다 is 갔 and 다.
    #[default]
    Syllables,
    /// The letters that syllables are composed of (Unicode's canonical decomposition, NFD), so that a subword may end within
    /// a syllable: 갔다 is 가 and ㅆ다, and shares its stem with 가다.
    Jamo,
}

impl Alphabet {
    fn normalizer(self) -> NormalizerWrapper {
        let bert = BertNormalizer::new(true, true, None, false);
        match self {
            Self::Syllables => bert.into(),
            Self::Jamo => Sequence::new(vec![bert.into(), NFD.into()]).into(),
        }
    }

    fn max_characters_per_word(self) -> usize {
        match self {
            Self::Syllables => MAX_CHARACTERS_PER_WORD,
            Self::Jamo => MAX_CHARACTERS_PER_WORD * LETTERS_PER_SYLLABLE,
        }
    }
}

/// Trains a tokenizer on sentences.
///
/// The trainer of `tokenizers` numbers the continuing characters in the order in which a hash map yields the words, and
/// that number decides between merges of equal frequency. Naming those characters beforehand, sorted, as tokens that the
/// vocabulary must hold makes the result depend on the sentences alone.
pub(crate) fn train(sentences: &[impl AsRef<str>], alphabet: Alphabet, vocab_size: usize) -> Result<Tokenizer, String> {
    let normalizer = alphabet.normalizer();
    if vocab_size > MAX_VOCAB_SIZE {
        return Err(format!("vocab_size {vocab_size} is beyond {MAX_VOCAB_SIZE}"));
    }
    // As every text is read: a syllable and its letters are one character.
    let sentences: Vec<Cow<'_, str>> = sentences.iter().map(|sentence| composed(sentence.as_ref())).collect();
    let (characters, continuing) = characters(&sentences, &normalizer)?;
    let reserved: Vec<String> = SPECIAL_TOKENS
        .into_iter()
        .map(str::to_owned)
        .chain(characters.iter().map(char::to_string))
        .chain(continuing.iter().map(|character| format!("{PREFIX}{character}")))
        .collect();
    if reserved.len() > vocab_size {
        return Err(format!(
            "vocab_size {vocab_size} is too small: the characters of the text alone need {}",
            reserved.len()
        ));
    }
    let trainer = WordPieceTrainer::builder()
        .vocab_size(vocab_size)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(reserved.iter().map(|token| AddedToken::from(token.as_str(), true)).collect())
        .limit_alphabet(characters.len())
        .initial_alphabet(characters.into_iter().collect())
        .build();
    let mut tokenizer = Tokenizer::new(WordPiece::default());
    tokenizer
        .with_normalizer(Some(normalizer.clone()))
        .map_err(|error| error.to_string())?
        .with_pre_tokenizer(Some(BertPreTokenizer));
    let texts = sentences.into_iter().map(Cow::into_owned);
    tokenizer.train(&mut TrainerWrapper::from(trainer), texts).map_err(|error| error.to_string())?;

    let mut vocabulary: Vec<(String, u32)> = tokenizer.get_vocab(false).into_iter().collect();
    vocabulary.sort_by_key(|(_, id)| *id);
    let tokens: Vec<&str> = vocabulary.iter().map(|(token, _)| token.as_str()).collect();
    let special = SPECIAL_TOKENS.map(str::to_owned);
    assemble(&tokens, "[UNK]", normalizer, alphabet.max_characters_per_word(), &special, ("[CLS]", "[SEP]"))
}

/// The characters that the words of the sentences are made of, without the rarest of a long text: every one, and those that
/// continue a word; both sorted.
fn characters(
    sentences: &[impl AsRef<str>],
    normalizer: &NormalizerWrapper,
) -> Result<(BTreeSet<char>, BTreeSet<char>), String> {
    let mut counts = HashMap::<char, (usize, bool)>::new(); // how often, and whether it continues a word
    for sentence in sentences {
        let mut text = NormalizedString::from(sentence.as_ref());
        normalizer.normalize(&mut text).map_err(|error| error.to_string())?;
        let mut words = PreTokenizedString::from(text);
        BertPreTokenizer.pre_tokenize(&mut words).map_err(|error| error.to_string())?;
        for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            for (place, character) in word.chars().enumerate() {
                let (count, continues) = counts.entry(character).or_default();
                *count += 1;
                *continues |= place > 0;
            }
        }
    }
    let total: usize = counts.values().map(|(count, _)| count).sum();
    let mut by_count: Vec<(char, (usize, bool))> = counts.into_iter().collect();
    by_count.sort_by_key(|&(character, (count, _))| (Reverse(count), character));
    let covered = if total < LONG_TEXT { total } else { (CHARACTER_COVERAGE * total as f64) as usize };
    let mut before = 0;
    let kept = by_count.into_iter().take_while(|(_, (count, _))| {
        before += count;
        before - count < covered
    });
    let kept: Vec<_> = kept.collect();
    let continuing = kept.iter().filter(|(_, (_, continues))| *continues).map(|&(character, _)| character).collect();
    Ok((kept.into_iter().map(|(character, _)| character).collect(), continuing))
}

fn assemble(
    tokens: &[&str],
    unk_token: &str,
    normalizer: NormalizerWrapper,
    max_characters_per_word: usize,
    special: &[String],
    (cls, sep): (&str, &str),
) -> Result<Tokenizer, String> {
    let id = |token: &str| {
        let position = tokens.iter().position(|&entry| entry == token);
        position
            .map(|id| id as u32)
            .ok_or_else(|| format!("the vocabulary of {} entries has no `{token}`", tokens.len()))
    };
    let (cls_id, sep_id) = (id(cls)?, id(sep)?);
    id(unk_token)?;
    let vocabulary = WordPiece::read_bytes(tokens.join("\n").as_bytes()).map_err(|error| error.to_string())?;
    let model = WordPiece::builder()
        .vocab(vocabulary)
        .unk_token(unk_token.to_owned())
        .continuing_subword_prefix(PREFIX.to_owned())
        .max_input_chars_per_word(max_characters_per_word)
        .build()
        .map_err(|error| error.to_string())?;
    let template = TemplateProcessing::builder()
        .try_single(format!("{cls} $A {sep}"))
        .and_then(|builder| builder.try_pair(format!("{cls} $A {sep} $B:1 {sep}:1")))
        .map_err(|error| error.to_string())?
        .special_tokens(vec![(cls.to_owned(), cls_id), (sep.to_owned(), sep_id)])
        .build()
        .map_err(|error| error.to_string())?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(normalizer)).map_err(|error| error.to_string())?;
    tokenizer
        .with_pre_tokenizer(Some(BertPreTokenizer))
        .with_post_processor(Some(template))
        .with_decoder(Some(WordPieceDecoder::new(PREFIX.to_owned(), true)));
    let known = special.iter().filter(|token| tokens.contains(&token.as_str()));
    let added: Vec<AddedToken> = known.map(|token| AddedToken::from(token.as_str(), true)).collect();
    tokenizer.add_special_tokens(added).map_err(|error| error.to_string())?;
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENTENCES: [&str; 4] = ["비가 많이 온다.", "비가 온다고 한다.", "눈이 많이 온다.", "오늘 비가 왔다고 한다."];

    #[test]
    fn training_twice_gives_the_same_tokenizer() {
        // Hash maps are seeded anew each time, so a dependence on their order shows within a few rounds.
        for alphabet in [Alphabet::Syllables, Alphabet::Jamo] {
            let trained = || train(&SENTENCES, alphabet, 60).unwrap().to_string(false).unwrap();
            let first = trained();
            for _ in 0..10 {
                assert_eq!(trained(), first);
            }
        }
    }

    #[test]
    fn a_trained_tokenizer_frames_sentences_and_knows_their_words() {
        let tokenizer = train(&SENTENCES, Alphabet::Syllables, 60).unwrap();
        let encoding = tokenizer.encode("비가 온다.", true).unwrap();
        assert_eq!(encoding.get_tokens().first().map(String::as_str), Some("[CLS]"));
        assert_eq!(encoding.get_tokens().last().map(String::as_str), Some("[SEP]"));
        assert!(encoding.get_tokens().contains(&"비가".to_owned()), "{:?}", encoding.get_tokens());
        assert!(!encoding.get_tokens().contains(&"[UNK]".to_owned()));
    }

    #[test]
    fn by_its_letters_a_syllable_that_the_text_lacks_is_known() {
        let tokens = |alphabet, text: &str| {
            let tokenizer = train(&["비가 갔다.", "눈이 갔다.", "책을 샀다."], alphabet, 60).unwrap();
            tokenizer.encode(text, true).unwrap().get_tokens().to_vec()
        };
        assert!(tokens(Alphabet::Syllables, "사다").contains(&"[UNK]".to_owned()));
        let letters = tokens(Alphabet::Jamo, "사다");
        let word: String = letters[1..letters.len() - 1].iter().map(|token| token.trim_start_matches(PREFIX)).collect();
        assert_eq!(word, "\u{1109}\u{1161}\u{1103}\u{1161}"); // ᄉ, ᅡ, ᄃ, ᅡ
        let decomposed = "\u{1100}\u{1161}\u{11bb}\u{1103}\u{1161}"; // as file names on macOS are
        assert_eq!(tokens(Alphabet::Jamo, decomposed), tokens(Alphabet::Jamo, "갔다"));
    }

    #[test]
    fn a_word_of_a_hundred_closed_syllables_is_known_and_one_more_is_not() {
        for alphabet in [Alphabet::Syllables, Alphabet::Jamo] {
            let tokenizer = train(&["갔갔 갔갔"], alphabet, 30).unwrap();
            let is_known = |syllables: usize| {
                let encoding = tokenizer.encode("갔".repeat(syllables), true).unwrap();
                !encoding.get_tokens().contains(&"[UNK]".to_owned())
            };
            assert!(is_known(100) && !is_known(101), "{alphabet:?}");
        }
    }

    #[test]
    fn the_rarest_characters_of_a_long_text_have_no_place() {
        let mut sentences = vec!["비가 많이 온다.".repeat(20); 10_000];
        sentences.push("龘".to_owned());
        let is_known = |sentences: &[String]| {
            let tokenizer = train(sentences, Alphabet::Syllables, 60).unwrap();
            tokenizer.token_to_id("龘").is_some()
        };
        assert!(!is_known(&sentences));
        assert!(is_known(&sentences[9_990..]), "a short text keeps all");
    }

    #[test]
    fn a_vocabulary_without_room_for_the_characters_is_refused() {
        assert!(train(&SENTENCES, Alphabet::Syllables, 10).unwrap_err().contains("vocab_size 10 is too small"));
    }
}

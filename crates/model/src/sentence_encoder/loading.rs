//! What a model is beside its weights, from its directory and the options that it is loaded with.

use std::path::Path;

use super::{Options, PoolingSource};
use crate::{
    architecture::Variable, config::EncoderConfig, error::Error, files::refuse_adapter, head::Head, layout::Layout,
    manifest, matryoshka::Matryoshka, pooling::Pooling, prompts::Prompts, similarity::SimilarityFunction,
    stored::Stored, tokenizer::Tokenizer,
};

/// All of a sentence encoder but its weights.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) config: EncoderConfig,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) head: Head,
    pub(crate) pooling_source: PoolingSource,
    pub(crate) similarity: SimilarityFunction,
    /// How many of an embedding's first numbers are kept; all without it.
    pub(crate) truncate_dim: Option<usize>,
    /// Whether what is kept is brought to the norm 1 again.
    pub(crate) renormalizes: bool,
    pub(crate) matryoshka: Matryoshka,
    pub(crate) prompts: Prompts,
    pub(crate) pools_prompt: bool,
    /// Types of tokens that are told apart: of texts that stand alone, all are of the first.
    pub(crate) types: usize,
}

/// A directory's own pooling cannot be chosen: its weights were trained with it.
fn choose_pooling(dir: &Path, own: Option<Pooling>, asked: Option<Pooling>) -> Result<(Pooling, PoolingSource), Error> {
    match (own, asked) {
        (Some(own), Some(asked)) if own != asked => Err(Error::invalid(
            &dir.join("modules.json"),
            format!(
                "its pooling is {own}, and {asked} was asked for; that of a sentence-transformers directory is fixed"
            ),
        )),
        (Some(own), _) => Ok((own, PoolingSource::Directory)),
        (None, Some(asked)) => Ok((asked, PoolingSource::Options)),
        (None, None) => Ok((Pooling::default(), PoolingSource::Default)),
    }
}

impl Parts {
    /// Reads a directory, and opens its weights.
    pub(crate) fn read(path: &Path, options: &Options) -> Result<(Self, Stored), Error> {
        let layout = Layout::read(path)?;
        manifest::verify_encoder(path)?;
        let dir = &layout.encoder;
        refuse_adapter(dir)?;
        let (stored, mut config) = Stored::open(&layout)?;
        if let Some(dropout) = options.dropout {
            config = config.with_dropout(dropout).map_err(Error::Unusable)?;
        }
        let longest = config.max_sequence_length() as usize;
        let max_seq_length = match options.max_seq_length {
            Some(asked) if asked > longest => {
                return Err(Error::invalid(
                    path,
                    format!("max_seq_length {asked} is beyond the encoder's {longest} positions"),
                ));
            }
            Some(asked) => asked,
            None => layout.max_seq_length.min(longest),
        };
        // What is wrong between two files of the directory is wrong with the directory.
        let within = |error| match error {
            Error::Unusable(what) => Error::invalid(path, what),
            error => error,
        };
        let (pooling, pooling_source) = choose_pooling(path, layout.pooling, options.pooling)?;
        let mut tokenizer = match layout.is_static {
            true => Tokenizer::load_unframed(dir, max_seq_length),
            false => Tokenizer::load_with(dir, max_seq_length, &layout.tokenizer_arguments),
        }
        .map_err(within)?;
        if layout.lowercase {
            tokenizer = tokenizer.with_lowercase()?;
        }
        let prompt = layout.prompts.text(&options.prompt).map_err(|what| Error::invalid(path, what))?;
        let skipped = if layout.pools_prompt { 0 } else { tokenizer.prompt_length(prompt)? };
        let tokenizer = tokenizer.with_prompt(prompt).with_embeddings(config.vocab_size() as usize).map_err(within)?;
        let Layout { similarity, truncate_dim, prompts, pools_prompt, modules, matryoshka, .. } = layout;
        let head = Head { pooling, skipped, modules: modules.into_iter().map(|(_, module)| module).collect() };
        head.check(config.hidden_size() as usize).map_err(|what| Error::invalid(&path.join("modules.json"), what))?;
        if let Some(asked) = options.dimensions {
            // Whoever allows it takes any width for one that the model was trained for.
            let trained = if options.allow_truncation { &Matryoshka::any() } else { &matryoshka };
            let width = head.width(config.hidden_size() as usize);
            let checked = trained.check(asked, width, Some("--allow-truncation"));
            checked.map_err(|what| Error::invalid(path, format!("dimensions {asked}: {what}")))?;
        }
        let parts = Self {
            renormalizes: options.dimensions.is_some() && head.normalizes(),
            truncate_dim: options.dimensions.or(truncate_dim),
            config,
            tokenizer,
            head,
            pooling_source,
            similarity,
            matryoshka,
            prompts,
            pools_prompt,
            types: 1,
        };
        Ok((parts, stored))
    }

    /// Those of a cross-encoder, whose head gives a number for each label.
    pub(crate) fn of_classifier(config: EncoderConfig, tokenizer: Tokenizer) -> Result<Self, Error> {
        let architecture = config.architecture();
        let Some(classifier) = &architecture.classifier else {
            let class = architecture.class;
            return Err(Error::Unusable(format!("{class} has no classifier that is read: it is no cross-encoder")));
        };
        let head = Head::of_classifier(classifier);
        let types = architecture.embeddings.token_types.as_ref().map_or(1, |table| table.rows as usize);
        Ok(Self { head, types, pooling_source: PoolingSource::Directory, ..Self::plain(config, tokenizer) })
    }

    /// Without anything that a directory might say.
    fn plain(config: EncoderConfig, tokenizer: Tokenizer) -> Self {
        Self {
            config,
            tokenizer,
            head: Head::default(),
            pooling_source: PoolingSource::Options,
            similarity: SimilarityFunction::default(),
            truncate_dim: None,
            renormalizes: false,
            matryoshka: Matryoshka::default(),
            prompts: Prompts::default(),
            pools_prompt: true,
            types: 1,
        }
    }

    /// Those of a model with fresh weights.
    pub(crate) fn fresh(config: EncoderConfig, tokenizer: Tokenizer, pooling: Pooling) -> Result<Self, Error> {
        if tokenizer.max_seq_length() as i64 > config.max_sequence_length() {
            let (asked, longest) = (tokenizer.max_seq_length(), config.max_sequence_length());
            return Err(Error::Unusable(format!("max_seq_length {asked} is beyond the encoder's {longest} positions")));
        }
        if tokenizer.vocab_size() as i64 > config.vocab_size() {
            let (largest, rows) = (tokenizer.vocab_size() - 1, config.vocab_size());
            return Err(Error::Unusable(format!(
                "the tokenizer has ids up to {largest}, and the encoder's vocab_size is {rows}"
            )));
        }
        Ok(Self { head: Head { pooling, ..Head::default() }, ..Self::plain(config, tokenizer) })
    }

    /// Every variable of encoder and head.
    pub(crate) fn described(&self) -> Vec<Variable> {
        self.config.architecture().variables().into_iter().chain(self.head.variables()).collect()
    }

    /// Width of an embedding before it is truncated.
    pub(crate) fn width(&self) -> usize {
        self.head.width(self.config.hidden_size() as usize)
    }

    pub(crate) fn dimensions(&self) -> usize {
        let width = self.width();
        self.truncate_dim.map_or(width, |kept| kept.min(width))
    }
}

//! What the parts of an output folder have in common, kept beside them.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use ground::Staged;
use model::{Pooling, Precision, SentenceEncoder};
use serde::{Deserialize, Serialize};

use crate::{columns::Columns, input::Table, model::Model};

/// What parts are made of and by: those of one folder agree in all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The model as it was named.
    pub model: String,
    /// Digest of the model's files.
    pub model_sha256: String,
    /// Numbers of an embedding.
    pub dimensions: usize,
    /// Number format that the encoder computed in.
    pub precision: String,
    /// From token embeddings to a text's, of a model whose directory has none of its own. Older settings do not say; it was
    /// the mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// What was put before every text; older settings do not say, and it was nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// Tokens per sentence.
    pub max_seq_length: usize,
    /// The sheet of workbooks, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Whether the first row names the columns, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_header: Option<bool>,
    /// What was added to the table.
    pub columns: Columns,
    /// Rows of each part but a file's last.
    pub rows_per_part: usize,
    /// The files of the table in the order of the parts.
    pub inputs: Vec<InputFile>,
}

/// A file of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Where it lay.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When it was written last, in nanoseconds since 1970.
    #[serde(default)]
    pub modified: Option<u64>,
}

impl InputFile {
    /// Whether it is the same file as another, as far as both say.
    fn is_same(&self, other: &Self) -> bool {
        let is_written_at_once = match (self.modified, other.modified) {
            (Some(here), Some(there)) => here == there,
            _ => true,
        };
        self.path == other.path && self.bytes == other.bytes && is_written_at_once
    }
}

/// The settings' file within a folder.
pub(crate) const NAME: &str = "_embed.json"; // readers of Parquet folders leave out what begins so

impl Settings {
    /// The settings of a job.
    pub fn new(
        model: &Path,
        model_sha256: String,
        encoder: &Model,
        columns: Columns,
        rows_per_part: usize,
        table: &Table,
    ) -> Self {
        let precision: Precision = encoder.precision();
        let file =
            |input: &crate::Input| InputFile { path: input.path.clone(), bytes: input.bytes, modified: input.modified };
        Self {
            model: model.display().to_string(),
            model_sha256,
            dimensions: encoder.dimensions(),
            precision: precision.to_string(),
            pooling: encoder.sentence_encoder().and_then(SentenceEncoder::pooling_beside_directory),
            prompt: encoder.tokenizer().prompt().to_owned(),
            max_seq_length: encoder.tokenizer().max_seq_length(),
            sheet: table.reading.sheet.clone(),
            has_header: table.reading.has_header,
            columns,
            rows_per_part,
            inputs: table.inputs.iter().map(file).collect(),
        }
    }

    /// Those of a folder; none where there are none.
    ///
    /// # Errors
    /// Where the file cannot be read or is not of this form.
    pub fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = dir.join(NAME);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| path.display().to_string())?,
        };
        serde_json::from_str(&text).with_context(|| path.display().to_string()).map(Some)
    }

    /// Makes `dir` a folder of parts with these settings, or checks that it is one.
    pub(crate) fn claim(&self, dir: &Path) -> anyhow::Result<()> {
        let shown = dir.display();
        if let Some(found) = Self::read(dir)? {
            return self.agree(&found, dir);
        }
        if dir.exists() {
            for entry in fs::read_dir(dir).with_context(|| shown.to_string())? {
                let name = entry.with_context(|| shown.to_string())?.file_name();
                // Another shard may begin at the same moment, and have its first part meanwhile.
                let is_begun = name == NAME || name.to_string_lossy().starts_with(".incomplete-");
                if !is_begun {
                    let found = Self::read(dir)?;
                    let found = found
                        .with_context(|| format!("{shown}: holds other files, expected an empty folder or none"))?;
                    return self.agree(&found, dir);
                }
            }
        }
        let mut file = Staged::create(&dir.join(NAME))?;
        let text = serde_json::to_string_pretty(self)? + "\n";
        file.file().write_all(text.as_bytes()).map_err(|cause| file.failed(cause))?;
        match file.commit(false) {
            Err(ground::Error::Exists { .. }) => {
                let found = Self::read(dir)?.with_context(|| format!("{shown}: its settings are gone"))?;
                self.agree(&found, dir)
            }
            done => Ok(done?),
        }
    }

    /// Fails where the parts of a folder are of another job.
    fn agree(&self, found: &Self, dir: &Path) -> anyhow::Result<()> {
        let difference = self.difference(found);
        let (shown, named) = (dir.display(), difference.unwrap_or_default());
        ensure!(
            difference.is_none(),
            "{shown}: its parts are of another job, which differs in {named}: choose another --output or remove the folder"
        );
        Ok(())
    }

    fn difference(&self, other: &Self) -> Option<&'static str> {
        let (here, there) = (&self.inputs, &other.inputs);
        let are_same = here.len() == there.len() && here.iter().zip(there).all(|(here, there)| here.is_same(there));
        // The model's name is left out: the same files may have another name on another machine.
        let fields = [
            ("the model", self.model_sha256 != other.model_sha256),
            ("--precision", self.precision != other.precision),
            ("--pooling", self.pooling.unwrap_or_default() != other.pooling.unwrap_or_default()),
            ("--prompt or --prompt-name", self.prompt != other.prompt),
            ("the width of its embeddings", self.dimensions != other.dimensions),
            ("--max-seq-length", self.max_seq_length != other.max_seq_length),
            ("--sheet", self.sheet != other.sheet),
            ("--has-header", self.has_header != other.has_header),
            ("its columns", self.columns != other.columns),
            ("--rows-per-part", self.rows_per_part != other.rows_per_part),
            ("the input: its path, size or time of writing", !are_same),
        ];
        fields.into_iter().find(|(_, differs)| *differs).map(|(name, _)| name)
    }
}

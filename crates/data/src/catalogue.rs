//! What is known of datasets before any is opened: the names that they have here with their files, and what the extension of a
//! file says of it.

use std::path::Path;

/// The names that messages offer.
pub(crate) const KNOWN_NAMES: &str = "klue-sts:{train,dev}, kor-sts:{train,dev,test}, sample:{train,dev,test}";

/// The files of each named dataset, as upstream calls them; the first that exists is read.
pub(crate) const PAIRS: &[(&str, &[&str])] = &[
    // Upstream's own train file is JSON; the one that `fetch` can get is its conversion to CSV.
    ("klue-sts:train", &["klue-sts/klue-sts-v1.1_train.json", "klue-sts/klue-sts-v1.1_train.csv"]),
    ("klue-sts:dev", &["klue-sts/klue-sts-v1.1_dev.json"]),
    ("kor-sts:train", &["kor-sts/sts-train.tsv"]),
    ("kor-sts:dev", &["kor-sts/sts-dev.tsv"]),
    ("kor-sts:test", &["kor-sts/sts-test.tsv"]),
    ("sample:train", &["sample/sample-train.json"]),
    ("sample:dev", &["sample/sample-dev.json"]),
    ("sample:test", &["sample/sample-test.json"]),
];

/// Whether a spec is the name of scored pairs.
pub(crate) fn is_pairs(spec: &str) -> bool {
    PAIRS.iter().any(|(name, _)| *name == spec)
}

/// The same of examples without scores.
pub(crate) const KNOWN_TRIPLETS: &str = "klue-nli:{train,dev}, para-kqc:train";

/// The file of each named set below the data directory.
pub(crate) const EXAMPLES: [(&str, &str); 3] = [
    ("klue-nli:train", "klue-nli/klue-nli-v1.1_train.json"),
    ("klue-nli:dev", "klue-nli/klue-nli-v1.1_dev.json"),
    ("para-kqc:train", "para-kqc/paraKQC_v1.no_klue_dev_groups.tsv"),
];

/// Whether a spec is the name of examples without scores.
pub(crate) fn is_examples(spec: &str) -> bool {
    EXAMPLES.iter().any(|(name, _)| *name == spec)
}

/// What the extension of a file's name says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Tsv,
    /// Any other table.
    Table,
}

impl Format {
    /// The format that the extension of `path` names.
    pub(crate) fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Format::Json),
            "tsv" => Some(Format::Tsv),
            extension => tables::EXTENSIONS.contains(&extension).then_some(Format::Table),
        }
    }
}

/// Whether a path has the extension of a text file.
pub(crate) fn is_text(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    name.ends_with(".txt") || name.ends_with(".txt.zst")
}

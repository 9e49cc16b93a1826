//! What the caller knows of a file.

/// What the caller knows of a file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of columns, by which a header is known beside those that are known anyway.
    pub names: Vec<String>,
    /// Whether the first row names the columns; by default, this is detected.
    pub has_header: Option<bool>,
    /// The sheet of a workbook; the first by default.
    pub sheet: Option<String>,
    /// Bytes that a workbook may have when it is unpacked; 1 GiB by default.
    pub max_unpacked_bytes: Option<u64>,
}

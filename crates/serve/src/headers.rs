//! Names of the headers that are the server's own.

/// the request's id, the client's own if it sent one.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// how many sentences were cut at the model's number of tokens.
pub(crate) const TRUNCATED: &str = "x-truncated";
/// milliseconds of tokenizing.
pub(crate) const TOKENIZATION_TIME: &str = "x-tokenization-time";
/// milliseconds in the queue.
pub(crate) const QUEUE_TIME: &str = "x-queue-time";
/// milliseconds of the batches that the request was part of.
pub(crate) const INFERENCE_TIME: &str = "x-inference-time";
/// milliseconds from the request's head to the answer.
pub(crate) const TOTAL_TIME: &str = "x-total-time";
/// tokens of the request's sentences.
pub(crate) const TOKENS: &str = "x-compute-tokens";
/// the file's encoding.
pub(crate) const CSV_ENCODING: &str = "x-csv-encoding";
/// comma, tab, semicolon, pipe, other or none.
pub(crate) const CSV_DELIMITER: &str = "x-csv-delimiter";
/// whether the first row was read as a header.
pub(crate) const CSV_HEADER: &str = "x-csv-header";
/// the sheet of a workbook (percent-encoded).
pub(crate) const CSV_SHEET: &str = "x-csv-sheet";
/// the column of the sentences, by its name (percent-encoded) or its number.
pub(crate) const CSV_COLUMN: &str = "x-csv-column";

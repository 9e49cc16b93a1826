//! The form of a delimited file, as its text shows it.

use std::fmt;

use crate::{
    error::{Error, Problem},
    kinds::{Kind, kind},
    names,
    options::Options,
    records::{Records, Syntax},
    scan::Scan,
    source::Source,
    text::{Charset, Text, with_one_line_end},
};

/// Records that tell the delimiter, and bytes of text at most.
const SAMPLED_RECORDS: u64 = 1000;
const SAMPLED_BYTES: usize = 1 << 20;
/// Records that tell whether the first is a header.
const COMPARED_RECORDS: usize = 200;
const COMPARED_CELLS: usize = 4096;
/// Of the rows of a table, the share that has as many fields as its first where some are wrong: nearly all.
const NEARLY_ALL: f64 = 0.8;
/// The same where the first row is made of names that columns have.
const WITH_KNOWN_NAMES: f64 = 0.5;
/// Lines above a header that may be a title.
const MOST_TITLES: usize = 10;

/// What stands between the fields of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// `,`
    Comma,
    /// A tab.
    Tab,
    /// `;`
    Semicolon,
    /// `|`
    Pipe,
    /// A character that the file's first line names, as in `sep=^`.
    Other(u8),
    /// Nothing: a row is one field.
    None,
}

impl Delimiter {
    /// In the order in which they are tried: the rarer a character is in sentences, the more it tells.
    const CANDIDATES: [Self; 4] = [Self::Tab, Self::Semicolon, Self::Pipe, Self::Comma];

    pub(crate) fn byte(self) -> Option<u8> {
        match self {
            Self::Comma => Some(b','),
            Self::Tab => Some(b'\t'),
            Self::Semicolon => Some(b';'),
            Self::Pipe => Some(b'|'),
            Self::Other(byte) => Some(byte),
            Self::None => None,
        }
    }

    fn of(byte: u8) -> Self {
        let known = Self::CANDIDATES.into_iter().find(|known| known.byte() == Some(byte));
        known.unwrap_or(Self::Other(byte))
    }

    /// Whether what writes such files encloses fields in quotes, so that a quote is never text by itself.
    fn goes_with_quotes(self) -> bool {
        matches!(self, Self::Comma | Self::Semicolon | Self::Other(_))
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Comma => "comma",
            Self::Tab => "tab",
            Self::Semicolon => "semicolon",
            Self::Pipe => "pipe",
            Self::Other(_) => "other",
            Self::None => "none",
        })
    }
}

/// What the rows of a file have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows {
    /// Each has as many fields as the first, else it is wrong; it is known by its line.
    Even,
    /// Each has at most `width` fields, the last of which it may lack; it is known by its number in the sheet, of which the
    /// first `skipped` belong to a title.
    OfSheet { width: usize, skipped: u64 },
}

/// The form of a delimited file.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    pub(crate) charset: Charset,
    pub(crate) delimiter: Delimiter,
    pub(crate) syntax: Syntax,
    pub(crate) has_header: bool,
    /// Fields of each row.
    pub(crate) fields: usize,
    pub(crate) rows: Rows,
    /// The cells of the header; empty where there is none.
    pub(crate) header: Vec<String>,
}

impl Dialect {
    /// Detects the form of a file, whose quotes are looked at to its end.
    pub(crate) fn detect(source: &Source, charset: Charset, options: &Options) -> Result<Self, Error> {
        let sample = sample(source, charset)?;
        let named = separator_line(&sample);
        let (delimiter, skipped) = match named {
            Some(byte) => (Delimiter::of(byte), 1),
            None => match titled(&sample, &Delimiter::CANDIDATES, false, options) {
                Some(Titled { delimiter, lines, .. }) => (delimiter, lines),
                None => (delimiter(&sample, options), 0),
            },
        };
        let line = sample.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
        let is_named = || names::is_known(String::from_utf8_lossy(line).trim().trim_matches('"'));
        let has_name = options.has_header.unwrap_or_else(is_named);
        let quoting = is_quoted(source, charset, delimiter, skipped, has_name)?;
        let syntax = Syntax { delimiter: delimiter.byte(), quoting, skipped };
        Self::with(source, charset, delimiter, syntax, Rows::Even, options)
    }

    /// The form of a sheet that was written as text, whose longest row has `width` cells.
    pub(crate) fn of_sheet(source: &Source, syntax: Syntax, width: usize, options: &Options) -> Result<Self, Error> {
        let charset = Charset::utf8();
        let titled = titled(&sample(source, charset)?, &[Delimiter::Comma], true, options);
        let (lines, skipped) = titled.map_or((0, 0), |titled| (titled.lines, titled.records));
        let syntax = Syntax { skipped: lines, ..syntax };
        Self::with(source, charset, Delimiter::None, syntax, Rows::OfSheet { width, skipped }, options)
    }

    /// The form of a file of which all is known but its header.
    fn with(
        source: &Source,
        charset: Charset,
        delimiter: Delimiter,
        syntax: Syntax,
        kind: Rows,
        options: &Options,
    ) -> Result<Self, Error> {
        let mut rows = first_rows(source, charset, syntax)?;
        if let Rows::OfSheet { width, .. } = kind {
            rows.iter_mut().for_each(|row| row.resize(width, String::new()));
        }
        let Some(first) = rows.first() else { return Err(Error::file("the file is empty")) };
        let has_header = options.has_header.unwrap_or_else(|| is_header(first, &rows[1..], &options.names));
        let fields = first.len();
        let header = if has_header { rows.into_iter().next().unwrap_or_default() } else { Vec::new() };
        Ok(Self { charset, delimiter, syntax, has_header, fields, rows: kind, header })
    }
}

/// The beginning of a file's text, cut at a line end where it is not all, with `\n` at every line end.
fn sample(source: &Source, charset: Charset) -> Result<Vec<u8>, Error> {
    let mut text = Text::new(source, charset, None);
    let (mut sample, mut piece) = (Vec::new(), Vec::new());
    loop {
        piece.clear();
        text.read(&mut piece)?;
        sample.extend_from_slice(&piece);
        if piece.is_empty() {
            return Ok(with_one_line_end(&sample));
        }
        if sample.len() >= SAMPLED_BYTES {
            sample = with_one_line_end(&sample);
            let end = sample.iter().rposition(|&byte| byte == b'\n').map_or(sample.len(), |end| end + 1);
            sample.truncate(end);
            return Ok(sample);
        }
    }
}

/// The delimiter that Excel's first line names: `sep=;`.
fn separator_line(sample: &[u8]) -> Option<u8> {
    let line = sample.split(|&byte| byte == b'\n').next()?;
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line.strip_prefix(b"sep=")? {
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && *byte != b'"' => Some(*byte),
        _ => None,
    }
}

/// A header of known names below a title: rows of one cell each, as people put them above a table.
struct Titled {
    delimiter: Delimiter,
    /// Lines above the header, and records.
    lines: u64,
    records: u64,
}

/// Finds a title above the header of a sample, if there is one.
fn titled(sample: &[u8], candidates: &[Delimiter], is_sheet: bool, options: &Options) -> Option<Titled> {
    if options.has_header == Some(false) {
        return None;
    }
    candidates.iter().copied().find_map(|delimiter| {
        let syntax = Syntax { delimiter: delimiter.byte(), quoting: true, skipped: 0 };
        let source = Source::memory(sample.to_vec());
        let mut records = Records::new(Text::new(&source, Charset::utf8(), None), syntax);
        let mut titles = 0;
        while titles <= MOST_TITLES && records.advance().ok()? {
            let cells = records.trimmed();
            match cells.iter().filter(|cell| !cell.is_empty()).count() {
                0 => {}
                1 => titles += 1,
                _ if titles == 0 => return None, // the first row is as wide as the others
                _ => {
                    let lines = records.start_line() - 1;
                    let start =
                        sample.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(lines as usize - 1)?.0 + 1;
                    let trial = Trial::new(&sample[start..], delimiter, options);
                    let is_table = trial.rows > 0 && !trial.is_prose && (is_sheet || trial.agrees());
                    let is_header = cells.iter().any(|cell| names::is_known(cell));
                    let records = records.number() - 1;
                    return (is_table && is_header).then_some(Titled { delimiter, lines, records });
                }
            }
        }
        None
    })
}

/// What one delimiter makes of a sample.
struct Trial {
    delimiter: Delimiter,
    fields: usize,
    rows: u64,   // below the first
    uneven: u64, // of them
    /// Whether cells of the first row are names that columns have.
    is_known: bool,
    /// Whether it stands in prose, where a space follows it.
    is_prose: bool,
}

impl Trial {
    fn new(sample: &[u8], delimiter: Delimiter, options: &Options) -> Self {
        let scanned = |quoting: bool| {
            let mut scan = Scan::new(delimiter.byte(), quoting, 0);
            if scan.feed(sample, SAMPLED_RECORDS) {
                scan.finish();
            }
            scan
        };
        let quoted = scanned(true);
        // Where quotes are not what they should be, the records before them tell.
        let scan = if delimiter.goes_with_quotes() || quoted.is_strict() { quoted } else { scanned(false) };
        let byte = delimiter.byte().unwrap_or_default();
        let line = sample.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
        let names: Vec<String> = line
            .split(|&other| other == byte)
            .map(|cell| String::from_utf8_lossy(cell).trim_matches(['"', ' ']).to_owned())
            .collect();
        let is_asked = |name: &String| {
            !options.names.is_empty() && options.names.iter().any(|asked| names::plain(asked) == names::plain(name))
        };
        Self {
            delimiter,
            fields: scan.expected.unwrap_or(0),
            rows: scan.records.saturating_sub(1),
            uneven: scan.records - scan.even,
            is_known: names.iter().any(|name| names::is_known(name) || is_asked(name)),
            is_prose: 2 * scan.spaced > scan.delimiters,
        }
    }

    fn agrees(&self) -> bool {
        if self.fields < 2 {
            return false;
        }
        let share = 1.0 - self.uneven as f64 / self.rows.max(1) as f64;
        if self.is_known { share >= WITH_KNOWN_NAMES } else { share >= NEARLY_ALL && !self.is_prose }
    }
}

/// The delimiter of a text: the one on which its first row and nearly all others agree.
fn delimiter(sample: &[u8], options: &Options) -> Delimiter {
    let trials = Delimiter::CANDIDATES.map(|delimiter| Trial::new(sample, delimiter, options));
    let agreed = trials.iter().filter(|trial| trial.agrees());
    // Names that are known tell most, rows that all agree next.
    let found = agreed.min_by_key(|trial| (!trial.is_known, trial.uneven > 0));
    // Of no row that agrees, a first row of names under one delimiter tells that it is a table.
    let named = || trials.iter().find(|trial| trial.fields > 1 && trial.is_known && !trial.is_prose);
    found.or_else(named).map_or(Delimiter::None, |trial| trial.delimiter)
}

/// Whether quotes enclose fields: where all of the file says so. `has_name`: of lines without a delimiter, whether the first
/// names the others.
fn is_quoted(
    source: &Source,
    charset: Charset,
    delimiter: Delimiter,
    skipped: u64,
    has_name: bool,
) -> Result<bool, Error> {
    let mut quoted = Scan::new(delimiter.byte(), true, skipped);
    let mut plain = Scan::new(delimiter.byte(), false, skipped);
    let (mut text, mut piece) = (Text::new(source, charset, None), Vec::new());
    loop {
        piece.clear();
        text.read(&mut piece)?;
        if piece.is_empty() {
            break;
        }
        quoted.feed(&piece, u64::MAX);
        if !delimiter.goes_with_quotes() {
            plain.feed(&piece, u64::MAX);
        }
    }
    quoted.finish();
    plain.finish();
    if quoted.is_strict() {
        // A quote that opens on one line and one that closes on another may stand in two sentences, where as lines both are
        // whole. A spreadsheet's lines are not, and its only column has a name.
        let are_lines = plain.uneven.is_none() && !(delimiter == Delimiter::None && has_name);
        return Ok(delimiter.goes_with_quotes() || !quoted.spans_lines || !are_lines);
    }
    let failed = |(line, problem): (u64, Problem)| Err(Error::Line { line, problem });
    if delimiter.goes_with_quotes() {
        // Quotes within a field that is not enclosed are text; where a record ends is beyond doubt.
        return match quoted.misquoted.or(quoted.uneven) {
            Some(found) => failed(found),
            None => Ok(true),
        };
    }
    match (plain.uneven, quoted.misquoted, quoted.uneven) {
        (None, ..) => Ok(false),
        // Every quote closes, and many enclose more than a line: it is the row that is wrong.
        (Some(_), None, Some(found)) if quoted.has_quoted && !quoted.has_bare_quote => failed(found),
        (Some(found), ..) => failed(found),
    }
}

/// The first rows that are not blank.
fn first_rows(source: &Source, charset: Charset, syntax: Syntax) -> Result<Vec<Vec<String>>, Error> {
    let mut records = Records::new(Text::new(source, charset, None), syntax);
    let (mut rows, mut cells) = (Vec::new(), 0);
    while rows.len() < COMPARED_RECORDS && cells < COMPARED_CELLS && records.advance()? {
        if !records.is_blank() {
            cells += records.len();
            rows.push(records.trimmed());
        }
    }
    Ok(rows)
}

/// Whether the first row names the columns of the others: by names that are known, or by words over what are none.
fn is_header(first: &[String], rows: &[Vec<String>], asked: &[String]) -> bool {
    if first.iter().any(|cell| names::is_known(cell)) || asked.iter().any(|asked| is_in(first, asked)) {
        return true;
    }
    let is_named = |index: usize| {
        let mut below =
            rows.iter().filter_map(|row| row.get(index)).map(|cell| kind(cell)).filter(|kind| *kind != Kind::Blank);
        let first_below = below.next();
        kind(&first[index]) == Kind::Words
            && first_below.is_some_and(|kind| kind != Kind::Words)
            && below.all(|kind| kind != Kind::Words)
    };
    first.iter().all(|cell| !cell.is_empty()) && (0..first.len()).any(is_named)
}

/// Whether a row has a cell of the name that was asked for; a number names nothing.
fn is_in(row: &[String], asked: &str) -> bool {
    asked.trim().parse::<usize>().is_err() && names::find(row.iter().map(String::as_str), asked).is_some()
}

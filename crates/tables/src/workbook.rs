//! A sheet of an `.xlsx` workbook as a delimited text, by `calamine`.
//!
//! Cells are read one by one: a sheet as a whole would be a rectangle as large as its farthest cell says.

use std::{
    io::{self, BufWriter, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use calamine::{DataRef, Reader, SheetVisible, Xlsx};
use zip::ZipArchive;

use crate::{
    error::Error,
    records::Syntax,
    source::{self, Source},
};

/// Bytes of a workbook's unpacked content, where the caller sets no bound.
const MAX_UNPACKED: u64 = 1 << 30;
/// Bytes of a sheet's text that are kept in memory.
const IN_MEMORY: usize = 1 << 20;

/// How the text that a sheet becomes is read.
pub(crate) const SYNTAX: Syntax = Syntax { delimiter: Some(b','), quoting: true, skipped: 0 };

/// A sheet as text.
pub(crate) struct Sheet {
    pub(crate) source: Source,
    pub(crate) name: String,
    /// Cells of its longest row.
    pub(crate) width: usize,
}

/// Reads the sheet of this name, or the first.
pub(crate) fn read(source: &Source, name: Option<&str>, max_unpacked: Option<u64>) -> Result<Sheet, Error> {
    let bound = max_unpacked.unwrap_or(MAX_UNPACKED);
    // What the library makes of a file that is not as it should be may be a panic.
    catch_unwind(AssertUnwindSafe(|| {
        check_size(source, bound)?;
        convert(source, name, bound)
    }))
    .unwrap_or_else(|_| Err(broken("its parts do not fit together")))
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::file(format!("not a readable .xlsx workbook: {}", what.to_string().lines().next().unwrap_or_default()))
}

/// Refuses an archive that is no workbook, or that unpacks to more than `bound` bytes, whatever its index claims.
fn check_size(source: &Source, bound: u64) -> Result<(), Error> {
    let mut archive = ZipArchive::new(source.reader(0)).map_err(broken)?;
    if archive.by_name("xl/workbook.xml").is_err() {
        return Err(Error::file("the file is a ZIP archive and no .xlsx workbook: save it as .xlsx or CSV"));
    }
    let mut left = bound;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(broken)?;
        let has_strings = entry.name().map_err(broken)?.to_ascii_lowercase().ends_with("sharedstrings.xml");
        let mut start = Vec::new();
        (&mut entry).take(if has_strings { 4096 } else { 0 }).read_to_end(&mut start).map_err(broken)?;
        // The library makes room for as many as the file claims, of which each takes a dozen characters at least.
        if claimed_strings(&start) > bound / 8 {
            return Err(broken("it claims more texts than it can hold"));
        }
        let rest = io::copy(&mut (&mut entry).take(left + 1), &mut io::sink()).map_err(broken)?;
        let unpacked = rest + start.len() as u64;
        left = left
            .checked_sub(unpacked)
            .ok_or_else(|| Error::file(format!("the workbook has more than {bound} bytes unpacked")))?;
    }
    Ok(())
}

/// How many texts the beginning of a workbook's list of them claims.
fn claimed_strings(start: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(start);
    let number = |(_, rest): (&str, &str)| {
        let digits = rest.trim_start().trim_start_matches('=').trim_start().trim_start_matches(['"', '\'']);
        let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().unwrap_or(u64::MAX)
    };
    text.split_once("niqueCount").map_or(0, number)
}

fn convert(source: &Source, name: Option<&str>, bound: u64) -> Result<Sheet, Error> {
    let mut workbook: Xlsx<source::Reader> = Xlsx::new(source.reader(0)).map_err(broken)?;
    let sheets = workbook.sheet_names();
    let found = match name {
        Some(asked) => crate::names::find(sheets.iter().map(String::as_str), asked),
        // One that is hidden is not what its author shows.
        None => workbook.sheets_metadata().iter().position(|sheet| sheet.visible == SheetVisible::Visible),
    };
    let Some(sheet) = found.map(|index| sheets[index].clone()) else {
        let asked = name.map(|name| format!("{name:?}")).unwrap_or_else(|| "no sheet at all".to_owned());
        let names = crate::words::list(sheets.iter().map(String::as_str));
        return Err(Error::file(format!("sheet {asked} is not in the workbook; it has {names}")));
    };
    let mut out = BufWriter::new(Bounded { file: tempfile::SpooledTempFile::new(IN_MEMORY), left: bound });
    let kept = |error: io::Error| match error.kind() {
        io::ErrorKind::FileTooLarge => Error::file(format!("the sheet has more than {bound} bytes as text")),
        _ => Error::Io(error),
    };
    let mut cells = workbook.worksheet_cells_reader(&sheet).map_err(broken)?;
    let (mut row, mut column, mut width, mut is_empty) = (0, 0, 0, true);
    while let Some(cell) = cells.next_cell().map_err(broken)? {
        let Some(text) = written(cell.get_value()) else { continue };
        let (cell_row, cell_column) = cell.get_position();
        if cell_row < row || cell_row == row && cell_column < column {
            return Err(broken("its cells are not in order"));
        }
        while row < cell_row {
            (row, column) = (row + 1, 0);
            out.write_all(b"\n").map_err(kept)?;
        }
        while column < cell_column {
            column += 1;
            out.write_all(b",").map_err(kept)?;
        }
        width = width.max(cell_column as usize + 1);
        is_empty = false;
        write!(out, "\"{}\"", text.replace('"', "\"\"")).map_err(kept)?;
    }
    if is_empty {
        return Err(Error::file(format!("sheet {sheet:?} is empty")));
    }
    out.write_all(b"\n").map_err(kept)?;
    let bounded = out.into_inner().map_err(|error| kept(error.into_error()))?;
    Ok(Sheet { source: Source::spooled(bounded.file)?, name: sheet, width })
}

/// A cell as people read it; none where it is empty.
fn written(value: &DataRef<'_>) -> Option<String> {
    Some(match value {
        DataRef::Empty => return None,
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(), // 3 of 3.0
        DataRef::Bool(value) => value.to_string(),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        // Days, of which a time of day is a part and a duration any number.
        DataRef::DateTime(time) if time.is_duration() || (0.0..1.0).contains(&time.as_f64()) => {
            let seconds = (time.as_f64() * 86_400.0).round() as i64;
            let (sign, seconds) = (if seconds < 0 { "-" } else { "" }, seconds.abs());
            format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        }
        DataRef::DateTime(time) => {
            let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
            match (hour, minute, second) {
                (0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
                _ => format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
            }
        }
        DataRef::Error(error) => error.to_string(),
    })
    .filter(|text| !text.is_empty())
}

/// A temporary file that does not grow beyond a bound: a sheet of few cells, far apart, would fill the disk.
struct Bounded {
    file: tempfile::SpooledTempFile,
    left: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left =
            self.left.checked_sub(bytes.len() as u64).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

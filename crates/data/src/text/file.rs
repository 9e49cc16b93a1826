//! A text file, read as a stream of paragraphs.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use crate::{
    catalogue,
    data_dir::DataDir,
    error::{Error, Problem},
};

/// A line beyond this is no paragraph.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// A text file: `.txt`, or `.txt.zst`, which is decompressed on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    path: PathBuf,
}

impl TextFile {
    /// The file at `path`, which may start with `data:`.
    ///
    /// # Errors
    /// Where it is missing or has another extension.
    pub fn locate(path: &str, dir: &DataDir) -> Result<TextFile, Error> {
        let path = dir.resolve(path);
        if !TextFile::is_text(&path) {
            return Err(Error::File { path, problem: Problem::TextExtension });
        }
        if path.is_dir() {
            return Err(Error::File { path, problem: Problem::TextDirectory });
        }
        File::open(&path).map_err(|cause| read_failed(&path, cause))?;
        Ok(TextFile { path })
    }

    /// Whether a path has the extension of a text file.
    pub fn is_text(path: &Path) -> bool {
        catalogue::is_text(path)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The paragraphs in the order of the file, blank lines left out.
    ///
    /// # Errors
    /// Each item where the file cannot be read or decompressed, or a line is no UTF-8 or longer than a mebibyte; nothing
    /// follows an error.
    pub fn paragraphs(&self) -> Result<impl Iterator<Item = Result<String, Error>> + Send + use<>, Error> {
        let path = self.path.clone();
        let file = File::open(&path).map_err(|cause| read_failed(&path, cause))?;
        let is_zst = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zst"));
        let bytes: Box<dyn Read + Send> = match is_zst {
            true => Box::new(zstd::Decoder::new(file).map_err(|cause| read_failed(&path, cause))?),
            false => Box::new(file),
        };
        let mut bytes = BufReader::with_capacity(1 << 16, bytes);
        let (mut number, mut is_over) = (0, false);
        Ok(std::iter::from_fn(move || {
            while !is_over {
                number += 1;
                match line(&mut bytes, &path, number) {
                    Ok(Some(text)) if text.trim().is_empty() => {}
                    Ok(Some(text)) => return Some(Ok(text)),
                    Ok(None) => is_over = true,
                    Err(error) => {
                        is_over = true;
                        return Some(Err(error));
                    }
                }
            }
            None
        }))
    }

    /// Digest of the file's bytes, as they lie on the disk.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn sha256(&self) -> Result<String, Error> {
        Ok(ground::sha256_of(&self.path)?.0)
    }
}

/// The next line without its end.
fn line(bytes: &mut impl BufRead, path: &Path, number: usize) -> Result<Option<String>, Error> {
    let mut line = Vec::new();
    let read = bytes.take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(|cause| read_failed(path, cause))?;
    if read == 0 {
        return Ok(None);
    }
    let failed = |problem| Error::Record { path: path.to_owned(), line: number, problem };
    if read as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") {
        return Err(failed(Problem::LongLine));
    }
    let text = String::from_utf8(line).map_err(|error| {
        let byte = error.as_bytes().get(error.utf8_error().valid_up_to()).copied().unwrap_or_default();
        failed(Problem::InvalidUtf8 { byte })
    })?;
    let text = if number == 1 { text.strip_prefix('\u{FEFF}').unwrap_or(&text) } else { &text };
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
}

fn read_failed(path: &Path, cause: io::Error) -> Error {
    Error::Io { path: path.to_owned(), action: "read the text", cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(folder: &Path, name: &str, bytes: &[u8]) -> TextFile {
        fs::write(folder.join(name), bytes).unwrap();
        TextFile::locate(folder.join(name).to_str().unwrap(), &DataDir::new(None)).unwrap()
    }

    fn paragraphs(file: &TextFile) -> Result<Vec<String>, Error> {
        file.paragraphs().unwrap().collect()
    }

    #[test]
    fn compressed_or_not_a_text_has_the_same_paragraphs() {
        let folder = tempfile::tempdir().unwrap();
        let text = "\u{FEFF}비가 온다.\r\n\n  \n눈이 온다.\n바람이 분다.".as_bytes();
        let expected = ["비가 온다.", "눈이 온다.", "바람이 분다."];
        assert_eq!(paragraphs(&file(folder.path(), "a.txt", text)).unwrap(), expected);
        let compressed = zstd::encode_all(text, 3).unwrap();
        assert_eq!(paragraphs(&file(folder.path(), "a.txt.zst", &compressed)).unwrap(), expected);
        let cut = file(folder.path(), "cut.txt.zst", &compressed[..compressed.len() - 9]);
        assert!(paragraphs(&cut).unwrap_err().to_string().contains("cut.txt.zst: cannot read the text"));
        let plain = file(folder.path(), "plain.txt.zst", text);
        assert!(paragraphs(&plain).is_err());
    }

    #[test]
    fn what_is_no_text_is_named_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let bad = file(folder.path(), "bad.txt", b"good\nb\xffd\n");
        let message = paragraphs(&bad).unwrap_err().to_string();
        assert!(message.contains("bad.txt:2: byte 0xFF is not valid UTF-8"), "{message}");
        let long = file(folder.path(), "long.txt", &vec![b'x'; 1 << 21]);
        assert!(paragraphs(&long).unwrap_err().to_string().contains("long.txt:1: a line of more than 1048576 bytes"));
    }
}

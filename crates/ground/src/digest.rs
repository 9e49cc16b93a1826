//! Digests of files and of what a program has read.

use std::{fs::File, io::Read, path::Path};

use sha2::{Digest, Sha256};

use crate::error::Error;

const BUFFER: usize = 1 << 20;

/// A digest in hexadecimal digits, as `sha256sum` prints it.
pub fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sha256 of a file in hexadecimal digits, and the file's bytes.
///
/// # Errors
/// Where the file cannot be read.
pub fn sha256_of(path: &Path) -> Result<(String, u64), Error> {
    let failed = || Error::io(path, "read the file");
    let mut file = File::open(path).map_err(failed())?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; BUFFER]);
    loop {
        match file.read(&mut buffer).map_err(failed())? {
            0 => return Ok((hex(hash), size)),
            count => {
                hash.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_digest_is_that_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "abc").unwrap();
        // printf abc | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of(&path).unwrap(), (abc.to_owned(), 3));
        let large = vec![7; BUFFER + 1];
        std::fs::write(&path, &large).unwrap();
        assert_eq!(sha256_of(&path).unwrap(), (hex(Sha256::new().chain_update(&large)), large.len() as u64));
    }
}

//! API keys from a file and the environment, and their comparison in constant time.

use std::{env, fmt, fs, path::Path};

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::Error;

/// Environment variable with API keys, separated by commas.
pub const KEYS_VARIABLE: &str = "KO_STS_API_KEYS";

/// Keys of which a request needs one. Only their digests are kept.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<[u8; 32]>);

impl ApiKeys {
    /// The keys of a file, one a line, and those of the environment.
    pub(super) fn load(file: Option<&Path>) -> Result<Self, Error> {
        let mut keys = Vec::new();
        if let Some(path) = file {
            let text = fs::read_to_string(path).map_err(|cause| Error::Io { path: path.to_owned(), cause })?;
            let invalid = |what: String| Error::File { path: path.to_owned(), what };
            for (number, line) in (1..).zip(text.lines().map(str::trim)) {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                check(line).map_err(|what| invalid(format!("line {number}: {what}")))?;
                keys.push(digest(line));
            }
            if keys.is_empty() {
                return Err(invalid("no API key in it, expected one a line".to_owned()));
            }
        }
        if let Some(text) = env::var_os(KEYS_VARIABLE) {
            let text = text.into_string().map_err(|_| Error::Value(format!("{KEYS_VARIABLE} is not UTF-8")))?;
            let given = text.split(',').map(str::trim).filter(|key| !key.is_empty());
            let before = keys.len();
            for key in given {
                check(key).map_err(|what| Error::Value(format!("{KEYS_VARIABLE}: {what}")))?;
                keys.push(digest(key));
            }
            // A secret that came out empty must not open the doors.
            if keys.len() == before {
                return Err(Error::Value(format!(
                    "{KEYS_VARIABLE} is set and holds no API key: give it some, separated by commas, or unset it"
                )));
            }
        }
        Ok(Self(keys))
    }

    /// Some keys.
    pub fn new(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| digest(key)).collect())
    }

    /// Whether no key is needed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Which of these a key is, counted from 0. How long that takes tells nothing of them: digests are compared, all of
    /// them.
    pub fn find(&self, key: &str) -> Option<u32> {
        let key = digest(key);
        let mut found = Choice::from(0);
        let mut place = 0;
        for (index, own) in (0..).zip(&self.0) {
            let is_own = own.ct_eq(&key) & !found;
            place.conditional_assign(&index, is_own);
            found |= is_own;
        }
        bool::from(found).then_some(place)
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// What is wrong with a key; it is not told itself.
fn check(key: &str) -> Result<(), String> {
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("an API key with characters other than visible ASCII".to_owned());
    }
    Ok(())
}

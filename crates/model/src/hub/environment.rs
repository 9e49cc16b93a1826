//! The hub's settings from the variables that Python's `huggingface_hub` reads.
//! Source: `huggingface_hub/constants.py` and `utils/_auth.py`.

use std::{env, path::PathBuf, time::Duration};

use super::Hub;

impl Hub {
    /// Reads `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH` and `HF_HUB_OFFLINE`, with the defaults
    /// and the older names that Python knows.
    pub fn from_env() -> Self {
        Self::from_variables(|name| env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| names.iter().filter_map(|name| variable(name)).find(|value| !value.is_empty());
        let path = |names: &[&str]| first(names).map(PathBuf::from);
        let home = path(&["HF_HOME"]).unwrap_or_else(|| {
            let user = || env::home_dir().unwrap_or_default().join(".cache");
            path(&["XDG_CACHE_HOME"]).unwrap_or_else(user).join("huggingface")
        });
        let in_file = || {
            let file = path(&["HF_TOKEN_PATH"]).unwrap_or_else(|| home.join("token"));
            std::fs::read_to_string(file).ok()
        };
        let token = first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]).or_else(in_file);
        let offline = first(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]).unwrap_or_default();
        Self {
            endpoint: first(&["HF_ENDPOINT"])
                .map_or("https://huggingface.co".to_owned(), |address| address.trim_end_matches('/').to_owned()),
            cache: path(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]).unwrap_or_else(|| home.join("hub")),
            token: token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()),
            offline: ["1", "ON", "YES", "TRUE"].contains(&offline.to_uppercase().as_str()),
            patience: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Hub {
        Hub::from_variables(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_defaults_are_pythons() {
        let hub = hub(&[("XDG_CACHE_HOME", "/xdg")]);
        assert_eq!((hub.endpoint.as_str(), hub.offline), ("https://huggingface.co", false));
        assert_eq!((hub.cache, hub.token), ("/xdg/huggingface/hub".into(), None));
    }

    #[test]
    fn variables_are_read_as_python_reads_them() {
        let hub = hub(&[
            ("HF_ENDPOINT", "http://127.0.0.1:1/"),
            ("HF_HOME", "/home"),
            ("HF_HUB_CACHE", "/cache"),
            ("HF_TOKEN", " hf_abc\n"),
            ("HF_HUB_OFFLINE", "yes"),
        ]);
        assert_eq!((hub.endpoint.as_str(), hub.cache.as_path()), ("http://127.0.0.1:1", "/cache".as_ref()));
        assert_eq!((hub.token.as_deref(), hub.offline), (Some("hf_abc"), true));
    }

    #[test]
    fn a_token_is_found_in_its_file() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
        let hub = hub(&[("HF_HOME", home.path().to_str().unwrap()), ("HF_TOKEN", ""), ("HF_HUB_OFFLINE", "0")]);
        assert_eq!((hub.token.as_deref(), hub.offline), (Some("hf_file"), false));
        assert_eq!(hub.cache, home.path().join("hub"));
    }
}

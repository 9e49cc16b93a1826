//! Dataset specs: from the name a user gives to the file that holds it.

use std::path::PathBuf;

use crate::catalogue::{Format, PAIRS, is_examples, is_text};
use crate::data_dir::{DEFAULT, DataDir};
use crate::error::Error;

/// Finds the file of `spec`: a known name, or the path of a file.
pub(crate) fn locate(spec: &str, dir: &DataDir) -> Result<PathBuf, Error> {
    let Some((_, files)) = PAIRS.iter().find(|(name, _)| *name == spec) else {
        return locate_path(spec, dir);
    };
    let mut roots = vec![dir.path().to_owned()];
    // The sample belongs to the checkout, so it is found there too when the data lie elsewhere.
    if spec.starts_with("sample:") && !dir.path().join("sample").is_dir() && dir.path() != DEFAULT {
        roots.push(DEFAULT.into());
    }
    let places: Vec<PathBuf> = roots.iter().flat_map(|root| files.iter().map(move |file| root.join(file))).collect();
    match places.iter().find(|place| place.exists()) {
        Some(place) => Ok(place.clone()),
        None => Err(Error::MissingDataset { spec: spec.to_owned(), looked_at: places, remedy: remedy(spec, dir) }),
    }
}

fn locate_path(spec: &str, dir: &DataDir) -> Result<PathBuf, Error> {
    let path = dir.resolve(spec);
    if path.exists() {
        Ok(path)
    } else if is_examples(spec) {
        Err(Error::OtherKind { spec: spec.to_owned(), kind: "examples without scores", objective: "contrastive" })
    } else if is_text(&path) {
        Err(Error::OtherKind { spec: spec.to_owned(), kind: "running text", objective: "mlm" })
    } else if Format::of(&path).is_some() {
        let remedy = "check the path".to_owned();
        Err(Error::MissingDataset { spec: spec.to_owned(), looked_at: vec![path], remedy })
    } else {
        Err(Error::UnknownDataset { spec: spec.to_owned() })
    }
}

/// How a user gets a named dataset that is not there.
fn remedy(spec: &str, dir: &DataDir) -> String {
    let dataset = spec.split(':').next().unwrap_or(spec);
    if dataset == "sample" {
        return "it comes with the project: run from its root, or name its data directory with --data-dir".to_owned();
    }
    let flag = match dir.path() {
        path if path == DEFAULT => String::new(),
        path if path.as_os_str().to_string_lossy().contains(' ') => format!(" --data-dir '{}'", path.display()),
        path => format!(" --data-dir {}", path.display()),
    };
    format!("get it with `cargo run --release -p data -- fetch {dataset}{flag}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::KNOWN_NAMES;
    use std::fs;

    fn dir_with(files: &[&str]) -> (tempfile::TempDir, DataDir) {
        let temp = tempfile::tempdir().unwrap();
        for file in files {
            let path = temp.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let dir = DataDir::new(Some(temp.path().to_owned()));
        (temp, dir)
    }

    #[test]
    fn klue_train_is_the_official_json_or_else_the_csv() {
        let (json, csv) = ("klue-sts/klue-sts-v1.1_train.json", "klue-sts/klue-sts-v1.1_train.csv");
        let (temp, dir) = dir_with(&[csv]);
        assert_eq!(locate("klue-sts:train", &dir).unwrap(), temp.path().join(csv));
        let (temp, dir) = dir_with(&[csv, json]);
        assert_eq!(locate("klue-sts:train", &dir).unwrap(), temp.path().join(json));
    }

    #[test]
    fn a_missing_dataset_lists_every_place_the_names_and_the_command() {
        let (temp, dir) = dir_with(&[]);
        let message = locate("klue-sts:train", &dir).unwrap_err().to_string();
        let root = temp.path().display().to_string();
        for part in [
            format!("{root}/klue-sts/klue-sts-v1.1_train.json"),
            format!("{root}/klue-sts/klue-sts-v1.1_train.csv"),
            format!("cargo run --release -p data -- fetch klue-sts --data-dir {root}"),
            KNOWN_NAMES.to_owned(),
        ] {
            assert!(message.contains(&part), "{message}\nlacks {part}");
        }
        assert!(!message.contains('\n'), "{message}");
    }

    #[test]
    fn a_sample_is_also_looked_for_in_the_checkout_unless_the_directory_has_its_own() {
        let (_temp, dir) = dir_with(&[]);
        let message = locate("sample:nothing", &dir).unwrap_err().to_string();
        assert!(message.starts_with("unknown dataset"), "{message}");
        // Tests run in the crate's folder, which has no `data`.
        let message = locate("sample:dev", &dir).unwrap_err().to_string();
        assert!(message.contains(", data/sample/sample-dev.json"), "{message}");
        let (_temp, dir) = dir_with(&["sample/other"]);
        let message = locate("sample:dev", &dir).unwrap_err().to_string();
        assert!(!message.contains(", data/sample/sample-dev.json"), "{message}");
    }

    #[test]
    fn a_path_may_start_in_the_data_directory() {
        let (temp, dir) = dir_with(&["mine/pairs.tsv"]);
        assert_eq!(locate("data:mine/pairs.tsv", &dir).unwrap(), temp.path().join("mine/pairs.tsv"));
    }

    #[test]
    fn data_of_another_kind_are_told_by_their_objective() {
        let (_temp, dir) = dir_with(&[]);
        let message = |spec: &str| locate(spec, &dir).unwrap_err().to_string();
        assert_eq!(
            message("klue-nli:train"),
            "klue-nli:train holds examples without scores: train on it with objective = \"contrastive\""
        );
        assert!(
            message("nowhere.txt.zst").contains("running text")
                && message("nowhere.txt").contains("objective = \"mlm\"")
        );
    }

    #[test]
    fn a_mistyped_name_is_wrong_use_and_an_absent_file_is_not() {
        let (_temp, dir) = dir_with(&[]);
        for spec in ["klue-sts", "klue-sts:test", "korsts:dev", ""] {
            assert!(locate(spec, &dir).unwrap_err().is_wrong_use(), "{spec}");
        }
        let error = locate("nowhere/pairs.csv", &dir).unwrap_err();
        assert!(!error.is_wrong_use() && error.to_string().contains(KNOWN_NAMES), "{error}");
    }
}

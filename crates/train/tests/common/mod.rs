//! What the tests of the `train` command share: a folder with a small dataset and a configuration of seconds.
#![allow(dead_code, clippy::unwrap_used)] // Each test binary uses a part of it; a test may panic.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder with `pairs.csv` and `config.toml`, in which commands run.
pub(crate) struct Folder {
    pub(crate) dir: TempDir,
}

pub(crate) const CONFIG: &str = r#"
seed = 7
output = "run"

[model]
max_seq_length = 32

[model.scratch]
vocab_size = 1000
hidden_size = 16
num_hidden_layers = 2
num_attention_heads = 2
intermediate_size = 32

[data]
train = ["pairs.csv"]
dev_fraction = 0.2
test = ["pairs.csv"]

[train]
epochs = 2
batch_size = 8
learning_rate = 1e-3
log_every_steps = 2
"#;

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/sample/sample-dev.json");
        let pairs = data::Dataset::load(sample.to_str().unwrap(), &data::DataDir::new(None)).unwrap().pairs;
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let mut csv = "sentence1,sentence2,score\n".to_owned();
        for pair in &pairs[..60] {
            csv += &format!("{},{},{}\n", quoted(&pair.sentence1), quoted(&pair.sentence2), pair.score.unwrap());
        }
        fs::write(dir.path().join("pairs.csv"), csv).unwrap();
        fs::write(dir.path().join("config.toml"), CONFIG).unwrap();
        Self { dir }
    }

    /// One whose configuration trains contrastively, with hard negatives.
    pub(crate) fn with_hard_negatives() -> Self {
        let folder = Self::new();
        folder.configure("contrastive", "hard_negatives = {}");
        folder
    }

    /// One with two trained models, `one` and `two`, to learn from.
    pub(crate) fn with_teachers() -> Self {
        let folder = Self::new();
        folder.trained(&["--output", "one"]);
        folder.trained(&["--output", "two", "--set", "seed=8"]);
        folder
    }

    /// From now on it has the tiny cross-encoder of the model crate's tests, as `cross`.
    pub(crate) fn with_cross_encoder(&self) {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
        fs::create_dir(self.path("cross")).unwrap();
        for (from, name) in [
            ("cross-encoders/roberta", "config.json"),
            ("cross-encoders/roberta", "model.safetensors"),
            ("roberta-tiny", "tokenizer.json"),
            ("roberta-tiny", "tokenizer_config.json"),
        ] {
            fs::copy(fixtures.join(from).join(name), self.path("cross").join(name)).unwrap();
        }
    }

    /// From now on its configuration distils; the teachers are still to be named.
    pub(crate) fn distilling(&self) {
        self.configure("distillation", "");
    }

    /// Another objective, with keys of `[data]`; its dev set is the last rows of the pairs.
    fn configure(&self, objective: &str, keys: &str) {
        let csv = fs::read_to_string(self.path("pairs.csv")).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        let (train, dev) = lines.split_at(lines.len() - 12);
        fs::write(self.path("pairs.csv"), train.join("\n") + "\n").unwrap();
        fs::write(self.path("dev.csv"), format!("{}\n{}\n", lines[0], dev.join("\n"))).unwrap();
        let config = CONFIG.replace("dev_fraction = 0.2", &format!("dev = [\"dev.csv\"]\n{keys}"));
        fs::write(self.path("config.toml"), format!("objective = \"{objective}\"\n{config}")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
        // One thread: the tests of a binary run side by side, and OpenMP's threads spin while they wait.
        command.current_dir(self.dir.path()).args(["--device", "cpu", "--threads", "1"]).env_remove("STS_DATA_DIR");
        // No test asks the network, or this machine's own cache.
        command.env("HF_HUB_OFFLINE", "1").env("HF_HUB_CACHE", self.path("hub"));
        command
    }

    pub(crate) fn train(&self, arguments: &[&str]) -> Output {
        self.command().args(["--config", "config.toml"]).args(arguments).output().unwrap()
    }

    /// Trains, and fails the test if that fails.
    pub(crate) fn trained(&self, arguments: &[&str]) -> Output {
        let output = self.train(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Trains until a step is saved, and kills the command there.
    pub(crate) fn killed_after(&self, step: u64, arguments: &[&str]) {
        let mut command = self.command();
        command.args(["--config", "config.toml"]).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        while saved_step(self, "run") < step {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before it was killed");
            sleep(Duration::from_millis(1));
        }
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }

    /// The single line with which training is refused, after which the run directory must not be there.
    pub(crate) fn refusal(&self, arguments: &[&str]) -> String {
        let line = only_line(&self.train(arguments));
        assert!(!self.path("run").exists(), "a run directory was left behind: {line}");
        line
    }

    /// The names in the folder, sorted.
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(below)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The step of the last saved state; 0 before the first, and at the moment in which one takes the place of another.
pub(crate) fn saved_step(folder: &Folder, run: &str) -> u64 {
    let text = fs::read_to_string(folder.path(run).join("last/trainer_state.json")).unwrap_or_default();
    serde_json::from_str(&text).map_or(0, |state: Value| state["step"].as_u64().unwrap())
}

/// The lines of `metrics.jsonl` without those figures that depend on the clock.
pub(crate) fn metrics(folder: &Folder, run: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.path(run).join("metrics.jsonl")).unwrap();
    let mut entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for entry in &mut entries {
        entry.as_object_mut().unwrap().retain(|name, _| !name.ends_with("_per_second"));
    }
    entries
}

/// Fails unless both runs hold the same weights, moments and figures, to the last bit.
pub(crate) fn assert_same(folder: &Folder, run: &str, reference: &str) {
    for file in ["best/model.safetensors", "last/model.safetensors", "last/optimizer.safetensors"] {
        let read = |run: &str| fs::read(folder.path(run).join(file)).unwrap();
        assert!(read(run) == read(reference), "{file} of {run} is not that of {reference}"); // too long to print
    }
    assert_eq!(metrics(folder, run), metrics(folder, reference));
    let report = |run: &str| {
        let text = fs::read_to_string(folder.path(run).join("report.json")).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        let losses = |epoch: &Value| (epoch["train_loss"].clone(), epoch["dev"].clone());
        let epochs: Vec<_> = report["epochs"].as_array().unwrap().iter().map(losses).collect();
        (epochs, report["best"].clone(), report["test"][0]["pearson"].clone())
    };
    assert_eq!(report(run), report(reference));
}

/// The pairs of a file in the folder.
pub(crate) fn pairs(folder: &Folder, name: &str) -> data::Dataset {
    data::Dataset::load(folder.path(name).to_str().unwrap(), &data::DataDir::new(None)).unwrap()
}

/// Whether a sentence stands in one of the pairs.
pub(crate) fn holds(pairs: &data::Dataset, sentence: &str) -> bool {
    pairs.pairs.iter().any(|pair| pair.sentence1 == sentence || pair.sentence2 == sentence)
}

/// Sends a signal by its name, such as `INT`.
pub(crate) fn send(signal: &str, child: &Child) {
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// A model that the tests of `model` have.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures").join(name)
}

/// The one line on stderr of a command that failed.
pub(crate) fn only_line(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {stderr}", output.status);
    let line = stderr.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n') && !line.contains("panicked"), "{stderr}");
    line.strip_prefix("error: ").unwrap().to_owned()
}

//! Bad input to the `train` command: exit 1 or 2, one line that says where and what, and nothing half-written.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use common::{CONFIG, Folder, only_line};
use model::{Options, TrainableEncoder};

/// Writes a configuration with one piece replaced, and returns the line with which it is refused.
fn refused(from: &str, to: &str) -> String {
    let folder = Folder::new();
    assert!(CONFIG.contains(from), "{from}");
    fs::write(folder.path("config.toml"), CONFIG.replace(from, to)).unwrap();
    folder.refusal(&[])
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_its_neighbours() {
    let line = refused("epochs = 2", "epoch = 2");
    assert!(
        line.starts_with(
            "config.toml:21: unknown field `epoch`, expected one of `epochs`, `steps_per_epoch`, `max_steps`"
        ),
        "{line}"
    );
    let line = refused("hidden_size", "hiden_size");
    assert!(line.contains("unknown key `hiden_size`, expected one of tokenizer, "), "{line}");
    let line = refused("[model.scratch]", "[model.scratch]\nhidden_dropout = 0.0");
    assert!(line.contains("unknown key `hidden_dropout`, expected one of tokenizer, "), "{line}");
}

#[test]
fn a_wrong_type_is_named_with_its_line() {
    let line = refused("epochs = 2", "epochs = \"two\"");
    assert_eq!(line, "config.toml:21: invalid type: string \"two\", expected u32");
    let line = refused("seed = 7", "seed = ");
    assert!(line.starts_with("config.toml:2: "), "{line}");
    let line = refused("batch_size = 8", "batch_size = -8");
    assert!(line.starts_with("config.toml:22: invalid value: integer `-8`"), "{line}");
    let line = refused("hidden_size = 16", "hidden_size = \"16\"");
    assert!(line.contains("model.scratch: hidden_size: invalid type: string"), "{line}");
}

#[test]
fn an_impossible_value_is_named_with_what_was_expected() {
    for (from, to, expected) in [
        ("batch_size = 8", "batch_size = 0", "train.batch_size is 0, expected 1..=1048576"),
        (
            "batch_size = 8",
            "batch_size = 4611686018427387904",
            "train.batch_size is 4611686018427387904, expected 1..=",
        ),
        ("vocab_size = 1000", "vocab_size = 1000000000", "vocab_size 1000000000 is beyond 1000000"),
        ("epochs = 2", "epochs = 0", "train.epochs is 0, expected at least 1"),
        ("dev_fraction = 0.2", "dev_fraction = 1.0", "data.dev_fraction is 1, expected more than 0 and less than 1"),
        ("dev_fraction = 0.2", "dev_fraction = nan", "data.dev_fraction is NaN, expected more than 0 and less than 1"),
        ("batch_size = 8", "batch_size = 8\nwarmup_epochs = 3.0", "train.warmup_epochs is 3, expected 0..=2"),
        (
            "batch_size = 8",
            "batch_size = 8\nwarmup_steps = 13",
            "the warm-up is 13 steps long, beyond the 12 of the schedule",
        ),
        ("batch_size = 8", "warmup_steps = 1\nwarmup_ratio = 0.1", "exclude each other: give one"),
        ("learning_rate = 1e-3", "learning_rate = -1e-3", "train.learning_rate is -0.001, expected more than 0"),
        ("hidden_size = 16", "hidden_size = 15", "hidden_size 15 is not a multiple of num_attention_heads 2"),
        ("vocab_size = 1000", "vocab_size = 40", "vocab_size 40 is too small"),
        ("max_seq_length = 32", "max_seq_length = 1024", "max_seq_length 1024 is beyond the encoder's 510 positions"),
        ("train = [\"pairs.csv\"]", "train = []", "data.train is empty"),
        ("[model.scratch]", "[model]\ninit = \"x\"\n[model.scratch]", "config.toml:8: "),
    ] {
        let line = refused(from, to);
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn a_missing_configuration_is_named() {
    let folder = Folder::new();
    let output = folder.command().args(["--config", "no.toml"]).output().unwrap();
    let line = only_line(&output);
    assert!(line.starts_with("no.toml: the configuration cannot be read"), "{line}");
}

#[test]
fn a_wrong_override_is_named() {
    let folder = Folder::new();
    assert_eq!(folder.train(&["--set", "train.epochs"]).status.code(), Some(2));
    assert!(folder.refusal(&["--set", "train.epochs"]).contains("--set train.epochs: expected KEY=VALUE"));
    assert!(folder.refusal(&["--set", "train.epoch=3"]).contains("unknown field `epoch`, expected one of `epochs`"));
    assert!(folder.refusal(&["--set", "seed.x=3"]).contains("`seed` is a value, not a table"));
    assert!(folder.refusal(&["--set", "train.epochs=many"]).contains("train.epochs: invalid type: string \"many\""));
}

#[test]
fn a_text_in_the_place_of_a_list_is_told_how_a_list_is_written() {
    let line = Folder::new().refusal(&["--set", "data.train=[pairs.csv]"]);
    assert!(line.contains("or --set 'data.dev=[\"sample:dev\"]'"), "{line}");
}

#[test]
fn more_threads_than_a_machine_can_use_are_refused() {
    let folder = Folder::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
    command.current_dir(folder.dir.path()).args(["--config", "config.toml", "--threads", "9999"]);
    let line = only_line(&command.output().unwrap());
    assert!(line.contains("9999 threads are asked for, expected at most"), "{line}");
}

#[test]
fn scores_of_another_scale_are_doubted() {
    let folder = Folder::new();
    let rows: String = (0..20).map(|row| format!("비가 {row}번 온다.,눈이 {row}번 온다.,{}\n", row % 2)).collect();
    fs::write(folder.path("pairs.csv"), format!("sentence1,sentence2,label\n{rows}")).unwrap();
    let doubt = "warning: pairs.csv: no score is above 1, where scores go from 0 to 5";
    let stderr = String::from_utf8(folder.trained(&[]).stderr).unwrap();
    assert!(stderr.contains(doubt), "{stderr}");
    fs::write(folder.path("pairs.csv"), format!("sentence1,sentence2,label\n{rows}가,나,1.5\n")).unwrap();
    let stderr = String::from_utf8(folder.trained(&["--output", "other"]).stderr).unwrap();
    assert!(!stderr.contains("no score is above 1"), "{stderr}");
}

#[test]
fn the_folder_of_a_run_is_no_model_and_its_checkpoint_is_named() {
    let folder = Folder::new();
    folder.trained(&["--output", "one"]);
    let init = |dir: &str| {
        let config =
            CONFIG.replace("[model.scratch]", "#").replace("max_seq_length = 32", &format!("init = \"{dir}\""));
        let keys = ["vocab_size", "hidden_size", "num_hidden", "num_attention", "intermediate"];
        let lines = config.lines().filter(|line| !keys.iter().any(|key| line.starts_with(key)));
        fs::write(folder.path("config.toml"), lines.collect::<Vec<_>>().join("\n")).unwrap();
        folder.refusal(&[])
    };
    assert!(init("one").contains("one: a run, whose checkpoint is one/best"), "{}", init("one"));
    fs::create_dir(folder.path("stages")).unwrap();
    fs::rename(folder.path("one"), folder.path("stages/one")).unwrap();
    assert!(
        init("stages").contains("stages: a folder of runs: name the checkpoint of one, as stages/one/best"),
        "{}",
        init("stages")
    );
}

#[test]
fn a_missing_dataset_lists_the_known_names_and_where_it_looked() {
    let line = refused("train = [\"pairs.csv\"]", "train = [\"klue-sts:train\"]");
    assert!(line.contains("data/klue-sts/klue-sts-v1.1_train.json") && line.contains("fetch klue-sts"), "{line}");
    let line = refused("train = [\"pairs.csv\"]", "train = [\"klue:train\"]");
    assert!(line.contains("kor-sts:{train,dev,test}"), "{line}");
}

#[test]
fn a_bad_row_of_the_data_is_named() {
    let folder = Folder::new();
    fs::write(folder.path("pairs.csv"), "sentence1,sentence2,score\n가,나,1\n가,나,6.2\n").unwrap();
    let line = folder.refusal(&[]);
    assert!(line.contains("pairs.csv:3: score \"6.2\" is outside 0..=5"), "{line}");
}

#[test]
fn training_data_without_scores_are_refused() {
    let folder = Folder::new();
    fs::write(folder.path("pairs.csv"), "sentence1,sentence2\n가,나\n다,라\n").unwrap();
    assert!(folder.refusal(&[]).contains("pairs.csv: no scores"));
}

#[test]
fn an_output_folder_with_another_run_is_kept() {
    let folder = Folder::new();
    folder.trained(&[]);
    let before = fs::read(folder.path("run/best/model.safetensors")).unwrap();
    let line = only_line(&folder.train(&["--set", "seed=8"]));
    assert!(
        line.starts_with("run: holds a run already (finished): --resume goes on with it, --overwrite begins anew"),
        "{line}"
    );
    assert_eq!(fs::read(folder.path("run/best/model.safetensors")).unwrap(), before);
    folder.trained(&["--set", "seed=8", "--overwrite"]);
    assert_ne!(fs::read(folder.path("run/best/model.safetensors")).unwrap(), before);
}

#[test]
fn an_output_folder_with_other_files_is_never_replaced() {
    let folder = Folder::new();
    fs::create_dir(folder.path("run")).unwrap();
    fs::write(folder.path("run/thesis.txt"), "years of work").unwrap();
    let line = only_line(&folder.train(&["--overwrite"]));
    assert_eq!(line, "run: is not empty and holds no run; choose another output");
    assert_eq!(folder.names("run"), ["thesis.txt"]);
}

#[test]
fn a_run_that_cannot_replace_another_keeps_it() {
    // The data are bad, so nothing of the old run may go, --overwrite or not.
    let folder = Folder::new();
    folder.trained(&[]);
    fs::write(folder.path("pairs.csv"), "").unwrap();
    let line = only_line(&folder.train(&["--overwrite"]));
    assert!(line.contains("pairs.csv"), "{line}");
    assert!(folder.path("run/best/model.safetensors").exists());
}

#[test]
fn a_model_that_is_neither_a_directory_nor_on_the_hub_is_named() {
    let folder = Folder::new();
    let line = folder.refusal(&["--set", "model.init=./klue/roberta-large"]);
    assert!(
        line.contains("model.init: ./klue/roberta-large: no such directory; expected one, or a model's id"),
        "{line}"
    );
    let line = folder.refusal(&["--set", "model.init=klue/roberta-large"]);
    assert!(
        line.contains("model.init: klue/roberta-large: no such directory, and no whole copy in the cache"),
        "{line}"
    );
}

#[test]
fn overwriting_a_run_touches_no_other_file_and_never_the_model_it_starts_from() {
    let folder = Folder::new();
    folder.trained(&[]);
    fs::write(folder.path("run/notes.txt"), "keep").unwrap();
    folder.trained(&["--overwrite"]);
    assert_eq!(fs::read_to_string(folder.path("run/notes.txt")).unwrap(), "keep");
    let line = only_line(&folder.train(&["--set", "model.init=run/best", "--overwrite"]));
    assert!(line.contains("lies in the run's own output run"), "{line}");
    assert!(folder.path("run/best/model.safetensors").exists());
}

#[test]
fn no_space_left_while_saving_keeps_the_last_state_and_leaves_no_rest() {
    let folder = Folder::new();
    let arguments = "--config config.toml --set train.epochs=60";
    let bash = |before: &str, after: &str| {
        let binary = env!("CARGO_BIN_EXE_train");
        let script = format!("{before} exec {binary} --device cpu --threads 1 {arguments} {after}");
        let mut command = Command::new("bash");
        command.args(["-c", &script]).current_dir(folder.dir.path()).env_remove("STS_DATA_DIR");
        command
    };
    // A first part, ended by a signal once a state is saved.
    let mut first = bash("", "").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !folder.path("run/best").exists() {
        assert!(first.try_wait().unwrap().is_none(), "it ended before it saved anything");
        sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").arg(first.id().to_string()).status().unwrap().success());
    assert_eq!(first.wait().unwrap().code(), Some(143));
    let state = fs::read(folder.path("run/last/trainer_state.json")).unwrap();
    // A limit on the size of a file fails a write as a full disk does, without one: with SIGXFSZ ignored, the system
    // answers «file too large». Weights stay below this one, the optimizer's two moments do not.
    let size = |name: &str| fs::metadata(folder.path("run/last").join(name)).unwrap().len() / 1024;
    let limit = (size("model.safetensors") + size("optimizer.safetensors")) / 2;
    let output = bash(&format!("trap '' XFSZ; ulimit -f {limit};"), "--resume").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let line = stderr.lines().last().unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(line.contains("optimizer.safetensors") && line.contains("the file needs"), "{line}");
    assert_eq!(folder.names("run"), ["best", "config.toml", "last", "metrics.jsonl", "tensorboard"]);
    assert_eq!(fs::read(folder.path("run/last/trainer_state.json")).unwrap(), state);
    for checkpoint in ["run/best", "run/last"] {
        TrainableEncoder::load(folder.path(checkpoint), &Options::default()).unwrap();
    }
}

#[test]
fn a_pooling_that_contradicts_the_model_is_refused() {
    let folder = Folder::new();
    folder.trained(&["--output", "one"]);
    let init = ["--set", "model.init=one/best", "--set", "model.pooling=cls", "--output", "two"];
    let config = CONFIG.split("[model.scratch]").next().unwrap().to_owned() + &CONFIG[CONFIG.find("[data]").unwrap()..];
    fs::write(folder.path("config.toml"), config).unwrap();
    let line = only_line(&folder.train(&init));
    assert!(line.contains("model.init: ") && line.contains("its pooling is mean, and cls was asked for"), "{line}");
}

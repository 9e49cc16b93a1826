//! The `embed` command on tables of every format.
#![allow(clippy::unwrap_used)] // A test may panic.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use arrow_array::{
    Array, Float32Array, RecordBatch,
    cast::AsArray,
    types::{Float32Type, Int8Type, UInt8Type},
};
use arrow_cast::cast;
use arrow_ipc::{reader::StreamReader, writer::StreamWriter};
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use model::{CrossEncoder, Options, Quantization, Ranges, SentenceEncoder, SimilarityFunction};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

const TEXTS: [&str; 5] = ["비가 온다.", "", "고양이가 \"창가\"에서 잔다.", "회의는 3시에 시작합니다.", "비가 온다."];

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/roberta-tiny")
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_embed"));
    command.current_dir(folder).args(["--device", "cpu", "--threads", "1", "--model"]).arg(model());
    command.args(["--pooling", "mean"]); // told, so that no line says what is assumed
    command.args(["--precision", "f32"]); // for the reference's figures
    command
}

fn embed(folder: &Path, arguments: &[&str]) -> Output {
    command(folder).args(arguments).output().unwrap()
}

fn embedded(folder: &Path, arguments: &[&str]) -> Output {
    let output = embed(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The line with which the command is refused.
fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let output = embed(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{stderr}");
    let line = stderr.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{stderr}");
    line.strip_prefix("error: ").unwrap().to_owned()
}

fn parts(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut parts: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect();
    parts.sort();
    parts
}

/// All rows of a folder of parts.
fn read(dir: &Path) -> RecordBatch {
    let batches = parts(dir)
        .into_iter()
        .flat_map(|path| ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap());
    let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>().unwrap();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// Five rows as a file of each format.
fn tables(folder: &Path) -> [&'static str; 4] {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let csv: String = TEXTS.iter().enumerate().map(|(row, text)| format!("00{row},{}\n", quoted(text))).collect();
    fs::write(folder.join("a.csv"), format!("\u{feff}id,text\n{csv}")).unwrap();
    let tsv: String = TEXTS.iter().enumerate().map(|(row, text)| format!("00{row}\t{text}\n")).collect();
    fs::write(folder.join("a.tsv"), format!("id\ttext\n{tsv}")).unwrap();
    let line = |(row, text)| serde_json::json!({"id": format!("00{row}"), "text": text}).to_string() + "\n";
    fs::write(folder.join("a.jsonl"), TEXTS.iter().enumerate().map(line).collect::<String>()).unwrap();
    embedded(folder, &["--input", "a.jsonl", "--output", "made"]);
    fs::copy(folder.join("made/part-00000-00000.parquet"), folder.join("a.parquet")).unwrap();
    ["a.csv", "a.tsv", "a.jsonl", "a.parquet"]
}

#[test]
fn every_format_gives_the_rows_with_the_encoders_embeddings() {
    let folder = TempDir::new().unwrap();
    let encoder = SentenceEncoder::load(model(), &Options::default()).unwrap();
    let expected = encoder.encode(&TEXTS).unwrap();
    for name in tables(folder.path()) {
        let output = format!("out-{name}");
        // A Parquet table that was embedded before has a column of that name.
        embedded(folder.path(), &["--input", name, "--output", &output, "--output-column", "vector"]);
        let rows = read(&folder.path().join(&output));
        let ids = rows.column_by_name("id").unwrap().as_string::<i32>();
        assert_eq!(ids.iter().map(Option::unwrap).collect::<Vec<_>>(), ["000", "001", "002", "003", "004"], "{name}");
        let vectors = rows.column_by_name("vector").unwrap().as_fixed_size_list();
        for (row, expected) in expected.rows().enumerate() {
            if TEXTS[row].is_empty() {
                assert!(vectors.is_null(row), "{name}");
                continue;
            }
            let found = vectors.value(row);
            for (x, y) in found.as_primitive::<Float32Type>().values().iter().zip(expected) {
                assert!((x - y).abs() < 1e-5, "{name} {row}: {x} {y}");
            }
        }
    }
}

#[test]
fn smaller_numbers_stand_for_the_same_embeddings() {
    let folder = TempDir::new().unwrap();
    tables(folder.path());
    let numbers = |dtype: &str| -> (Vec<f32>, usize) {
        embedded(folder.path(), &["--input", "a.csv", "--output", dtype, "--dtype", dtype]);
        let rows = read(&folder.path().join(dtype));
        let list = rows.column_by_name("embedding").unwrap().as_fixed_size_list();
        let width = list.value_length() as usize;
        let values = cast(list.values(), &DataType::Float32).unwrap();
        let values: &Float32Array = values.as_primitive();
        let scales = rows.column_by_name("embedding_scale").map(|scales| scales.as_primitive::<Float32Type>().clone());
        let scale = |row: usize| scales.as_ref().map_or(1.0, |scales| scales.value(row));
        (values.values().iter().enumerate().map(|(place, x)| x * scale(place / width)).collect(), width)
    };
    let (exact, width) = numbers("f32");
    for (dtype, share) in [("f16", 1e-3), ("int8", 0.5 / 127.0 + 1e-6)] {
        let (rounded, _) = numbers(dtype);
        for (row, expected) in rounded.chunks(width).zip(exact.chunks(width)) {
            let largest = expected.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            for (x, y) in row.iter().zip(expected) {
                assert!((x - y).abs() <= share * largest, "{dtype}: {x} {y}");
            }
        }
    }
}

#[test]
fn quantized_embeddings_are_the_librarys_by_the_ranges_of_the_first_texts() {
    let folder = TempDir::new().unwrap();
    tables(folder.path());
    let embeddings = SentenceEncoder::load(model(), &Options::default()).unwrap().encode(&TEXTS).unwrap();
    let texts = |row: &usize| !TEXTS[*row].is_empty();
    let ranges = Ranges::of((0..TEXTS.len()).filter(texts).map(|row| &embeddings[row]));
    for (format, values) in [("int8", 32), ("uint8", 32), ("binary", 4), ("ubinary", 4)] {
        let output = embedded(folder.path(), &["--input", "a.csv", "--output", format, "--quantize", format]);
        let quantization: Quantization = format.parse().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr).contains("first 4 texts"), quantization.has_ranges());
        let rows = read(&folder.path().join(format));
        let list = rows.column_by_name("embedding").unwrap().as_fixed_size_list();
        assert_eq!(list.value_length(), values, "{format}");
        for row in (0..TEXTS.len()).filter(texts) {
            let found: Vec<i64> = match quantization.is_signed() {
                true => list.value(row).as_primitive::<Int8Type>().values().iter().map(|x| i64::from(*x)).collect(),
                false => list.value(row).as_primitive::<UInt8Type>().values().iter().map(|x| i64::from(*x)).collect(),
            };
            let expected = serde_json::to_value(quantization.quantize(&embeddings[row], &ranges)).unwrap();
            assert_eq!(serde_json::to_value(&found).unwrap(), expected, "{format}, row {row}");
        }
        assert!(list.is_null(1), "{format}");
    }
    // The same ranges for another table, and others for none of these parts.
    let (made, more) = (["--quantize", "int8", "--ranges"], ["--input", "a.tsv", "--output", "more"]);
    embedded(folder.path(), &[&more[..], &made, &["int8/_ranges.json"]].concat());
    let [more_rows, rows] = ["more", "int8"].map(|name| read(&folder.path().join(name)));
    assert_eq!(more_rows.column_by_name("embedding"), rows.column_by_name("embedding"));
    let mut others = ranges.clone();
    others.max[0] += 1.0;
    fs::write(folder.path().join("others.json"), serde_json::to_string(&others).unwrap()).unwrap();
    let line = refusal(folder.path(), &[&more[..], &made, &["others.json"]].concat());
    assert!(line.contains("the folder has other ranges than --ranges"), "{line}");
    let line = refusal(folder.path(), &["--stdio", "--quantize", "uint8"]);
    assert!(line.contains("--quantize of a stream takes --ranges"), "{line}");
}

#[test]
fn a_cross_encoder_scores_pairs_and_gives_no_embeddings() {
    let folder = TempDir::new().unwrap();
    let (fixtures, dir) = (model(), folder.path().join("cross"));
    let fixtures = fixtures.parent().unwrap();
    fs::create_dir(&dir).unwrap();
    for (from, name) in [
        ("cross-encoders/roberta", "config.json"),
        ("cross-encoders/roberta", "model.safetensors"),
        ("roberta-tiny", "tokenizer.json"),
        ("roberta-tiny", "tokenizer_config.json"),
    ] {
        fs::copy(fixtures.join(from).join(name), dir.join(name)).unwrap();
    }
    fs::write(folder.path().join("p.tsv"), "a\tb\n비가 온다.\t눈이 온다.\n비가 온다.\t\n").unwrap();
    let cross = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_embed"));
        command.current_dir(folder.path()).args(["--device", "cpu", "--threads", "1", "--precision", "f32"]);
        command.args(["--model", "cross", "--input", "p.tsv"]).args(arguments).output().unwrap()
    };
    let output = cross(&["--pairs", "a,b", "--output", "out"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = read(&folder.path().join("out"));
    let scores = rows.column_by_name("score").unwrap().as_primitive::<arrow_array::types::Float64Type>();
    let encoder = CrossEncoder::load(&dir, &Options::default()).unwrap();
    let expected = 5.0 * f64::from(encoder.scores(&[["비가 온다.", "눈이 온다."]]).unwrap()[0]);
    assert!((scores.value(0) - expected).abs() < 1e-5 && scores.is_null(1), "{} {expected}", scores.value(0));
    let output = cross(&["--column", "a", "--output", "other"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("a cross-encoder gives no embeddings: it scores the pairs of --pairs"), "{stderr}");
}

#[test]
fn fewer_numbers_are_the_first_ones() {
    let folder = TempDir::new().unwrap();
    tables(folder.path());
    let line = refusal(folder.path(), &["--input", "a.csv", "--output", "few", "--dimensions", "8"]);
    assert!(line.contains("dimensions 8: expected 32") && line.ends_with("--allow-truncation truncates all the same"));
    assert!(!folder.path().join("few").exists());
    let few = ["--input", "a.csv", "--output", "few", "--dimensions", "8", "--allow-truncation"];
    embedded(folder.path(), &few);
    let embeddings = SentenceEncoder::load(model(), &Options::default()).unwrap().encode(&TEXTS).unwrap();
    let rows = read(&folder.path().join("few"));
    let list = rows.column_by_name("embedding").unwrap().as_fixed_size_list();
    assert_eq!(list.value_length(), 8);
    let found = list.value(0);
    for (x, y) in found.as_primitive::<Float32Type>().values().iter().zip(&embeddings[0]) {
        assert!((x - y).abs() < 1e-6, "{x} {y}");
    }
}

#[test]
fn texts_that_the_model_does_not_take_whole_are_counted() {
    let folder = TempDir::new().unwrap();
    let long = "비가 온다. ".repeat(40);
    let texts = format!("text\n{long}\n{long}\n비가 온다.\n🙂\n\n");
    fs::write(folder.path().join("a.tsv"), &texts).unwrap();
    let output = embedded(folder.path(), &["--input", "a.tsv", "--output", "out", "--max-seq-length", "16"]);
    let told = "; 2 texts were cut at 16 tokens; 1 text holds nothing but unknown tokens\n";
    for said in [output.stdout, output.stderr] {
        let said = String::from_utf8(said).unwrap();
        assert!(said.ends_with(told), "{said}");
    }
    fs::write(folder.path().join("b.tsv"), "text\n비가 온다.\n").unwrap();
    let output = embedded(folder.path(), &["--input", "b.tsv", "--output", "whole"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with(" sentences/s\n"), "{said}");
}

#[test]
fn a_column_is_found_by_its_name_in_any_normal_form() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a.tsv"), "\u{1100}\u{1173}\u{11af}\n비가 온다.\n").unwrap(); // 글, decomposed
    embedded(folder.path(), &["--input", "a.tsv", "--column", "글", "--output", "out"]);
    assert!(!read(&folder.path().join("out")).column_by_name("embedding").unwrap().is_null(0));
}

#[test]
fn pairs_get_five_times_their_cosine() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("p.tsv"), "a\tb\n비가 온다.\t눈이 온다.\n비가 온다.\t비가 온다.\n비가 온다.\t\n")
        .unwrap();
    embedded(folder.path(), &["--input", "p.tsv", "--pairs", "a,b", "--output", "out"]);
    let rows = read(&folder.path().join("out"));
    let scores = rows.column_by_name("score").unwrap().as_primitive::<arrow_array::types::Float64Type>();
    let encoder = SentenceEncoder::load(model(), &Options::default()).unwrap();
    let pair = encoder.encode(&["비가 온다.", "눈이 온다."]).unwrap();
    let expected = 5.0 * SimilarityFunction::Cosine.of(&pair[0], &pair[1]);
    assert!((scores.value(0) - expected).abs() < 1e-5, "{} {expected}", scores.value(0));
    assert!((scores.value(1) - 5.0).abs() < 1e-5 && scores.value(1) <= 5.0 && scores.is_null(2));
}

/// Rows enough for many parts.
fn long_table(folder: &Path, rows: usize) {
    let text: String = (0..rows).map(|row| format!("{row}\t{row}번 버스가 온다.\n")).collect();
    fs::write(folder.join("long.tsv"), format!("id\ttext\n{text}")).unwrap();
}

fn ids(dir: &Path) -> Vec<String> {
    let rows = read(dir);
    rows.column_by_name("id").unwrap().as_string::<i32>().iter().map(|id| id.unwrap().to_owned()).collect()
}

#[test]
fn shards_make_every_part_once_and_together_what_one_process_makes() {
    let folder = TempDir::new().unwrap();
    long_table(folder.path(), 1000);
    let job = ["--input", "long.tsv", "--rows-per-part", "90", "--output"];
    embedded(folder.path(), &[&job[..], &["alone"]].concat());
    let mut running: Vec<_> = (0..3)
        .map(|shard| {
            let shard = format!("{shard}/3");
            command(folder.path()).args(job).args(["shared", "--shard", &shard]).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    assert!(running.iter_mut().all(|shard| shard.wait().unwrap().success()));
    let (alone, shared) = (parts(&folder.path().join("alone")), parts(&folder.path().join("shared")));
    assert_eq!((alone.len(), shared.len()), (12, 12));
    for (alone, shared) in alone.iter().zip(&shared) {
        assert!(fs::read(alone).unwrap() == fs::read(shared).unwrap(), "{}", shared.display());
    }
}

#[test]
fn a_job_that_was_killed_goes_on_with_the_parts_that_are_missing() {
    let folder = TempDir::new().unwrap();
    long_table(folder.path(), 20_000);
    let job = ["--input", "long.tsv", "--rows-per-part", "500", "--output", "out"];
    let mut running = command(folder.path()).args(job).stderr(Stdio::null()).spawn().unwrap();
    let out = folder.path().join("out");
    while !out.exists() || parts(&out).len() < 3 {
        assert!(running.try_wait().unwrap().is_none(), "the job ended before it was killed");
        sleep(Duration::from_millis(2));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let before = parts(&out);
    assert!((3..40).contains(&before.len()));
    // Nothing is there but whole parts and the settings.
    assert_eq!(fs::read_dir(&out).unwrap().count(), before.len() + 1);
    let changed = |path: &PathBuf| path.metadata().unwrap().modified().unwrap();
    let times: Vec<_> = before.iter().map(changed).collect();
    embedded(folder.path(), &job);
    assert_eq!(before.iter().map(changed).collect::<Vec<_>>(), times, "a part was made again");
    assert_eq!(ids(&out), (0..20_000).map(|row| row.to_string()).collect::<Vec<_>>());
    let said = String::from_utf8(embedded(folder.path(), &job).stdout).unwrap();
    assert_eq!(said, "out: 0 parts with 0 rows written; there already: 40\n");
}

#[test]
fn a_stream_comes_back_with_its_new_column() {
    let folder = TempDir::new().unwrap();
    tables(folder.path());
    let rows = read(&folder.path().join("made")).project(&[0, 1]).unwrap();
    let mut stream = StreamWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    stream.write(&rows).unwrap();
    stream.write(&rows.slice(3, 2)).unwrap();
    let bytes = stream.into_inner().unwrap();
    let answer = |bytes: &[u8]| {
        let mut filter = command(folder.path())
            .arg("--stdio")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = filter.stdin.take().unwrap().write_all(bytes); // it may end before it has read all
        filter.wait_with_output().unwrap()
    };
    let output = answer(&bytes);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<RecordBatch> =
        StreamReader::try_new(&output.stdout[..], None).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(found.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [5, 2]);
    let expected = read(&folder.path().join("made"));
    assert_eq!(found[0].column_by_name("embedding"), expected.column_by_name("embedding"));
    for (bytes, expected) in [
        (&b"no stream"[..], "standard input: expected an Arrow IPC stream"),
        (&bytes[..bytes.len() / 2], "standard input"),
    ] {
        let output = answer(bytes);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && stderr.starts_with(&format!("error: {expected}")), "{stderr}");
    }
}

#[test]
fn what_cannot_be_embedded_is_one_clear_line() {
    let folder = TempDir::new().unwrap();
    let (path, write) = (folder.path(), |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap());
    write("a.csv", "id,text\n1,비\n2,눈\n");
    write("short.csv", "id,text\n1,비\n2\n");
    write("empty.csv", "");
    write("twice.csv", "text,text\n1,2\n");
    write("bad.jsonl", "{\"text\": \"비\"}\n{\"text\": \n");
    write("no.parquet", "PAR1");
    write("other.tsv", "id\ttext\tmore\n1\t비\t2\n");
    write("a.xlsx", "");
    write("numbers.jsonl", "{\"text\": 1}\n");
    fs::create_dir(path.join("full")).unwrap();
    write("full/mine.txt", "");
    for (arguments, expected) in [
        (&["--input", "none.csv"][..], "none.csv: no file is named so: expected a file, a folder or a glob"),
        (&["--input", "a.xlsx"], "a.xlsx: the file is empty"),
        (&["--input", "a.csv", "--column", "글"], "a.csv: column \"글\" is not in the file; it has \"id\", \"text\""),
        (&["--input", "numbers.jsonl"], "column \"text\" holds whole numbers, expected text"),
        (&["--input", "empty.csv"], "empty.csv: the file is empty"),
        (&["--input", "twice.csv"], "twice.csv: two columns are named \"text\""),
        (&["--input", "a.csv", "--input", "other.tsv"], "a.csv: lacks the columns \"more\" that other.tsv has"),
        (
            &["--input", "a.csv", "--output-column", "id"],
            "the table has a column \"id\" already: name the new one by --output-column",
        ),
        (
            &["--input", "a.csv", "--pairs", "text"],
            "--pairs is \"text\", expected two columns, such as sentence1,sentence2",
        ),
    ] {
        assert_eq!(refusal(path, &[arguments, &["--output", "out"]].concat()), expected);
        assert!(!path.join("out").exists(), "{expected}");
    }
    for (file, place) in [("short.csv", "line 3"), ("bad.jsonl", "line 2: column 9: EOF"), ("no.parquet", "")] {
        let line = refusal(path, &["--input", file, "--output", file.strip_suffix("t").unwrap_or("out")]);
        assert!(line.starts_with(&format!("{file}: ")) && line.contains(place), "{line}");
    }
    let line = refusal(path, &["--input", "a.csv", "--output", "full"]);
    assert_eq!(line, "full: holds other files, expected an empty folder or none");
    embedded(path, &["--input", "a.csv", "--output", "made"]);
    let line = refusal(path, &["--input", "a.csv", "--output", "made", "--dtype", "f16"]);
    assert!(line.starts_with("made: its parts are of another job, which differs in its columns"), "{line}");
    // As many bytes, written again.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(9);
    fs::File::options().append(true).open(path.join("a.csv")).unwrap().set_modified(later).unwrap();
    let line = refusal(path, &["--input", "a.csv", "--output", "made"]);
    assert!(line.contains("which differs in the input: its path, size or time of writing"), "{line}");
}

#[test]
fn the_precision_is_the_machines_fastest_unless_it_is_named_and_is_told() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a.csv"), "text\n가\n나\n").unwrap();
    let run = |output: &str, level: &str, rest: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_embed"));
        command.current_dir(folder.path()).args([
            "--device",
            "cpu",
            "--pooling",
            "mean",
            "--input",
            "a.csv",
            "--model",
        ]);
        command.arg(model()).args(["--output", output]).args(rest).env("KO_STS_CPU", level).output().unwrap()
    };
    for (output, level, rest, expected) in [
        (
            "a",
            "portable",
            &[][..],
            "precision: f32 (loops portable; products f32 portable, bf16 portable, int8 portable)",
        ),
        ("b", "avx2", &[], "precision: int8 (loops avx2; products f32 avx2, bf16 avx2, int8 avx2)"),
        ("c", "avx2", &["--precision", "bf16"], "precision: bf16 (loops avx2;"),
    ] {
        if level == "avx2" && !is_x86_feature_detected!("avx2") {
            continue;
        }
        let run = run(output, level, rest);
        let stderr = String::from_utf8(run.stderr).unwrap();
        assert!(run.status.success() && stderr.contains(expected), "{stderr}");
    }
    let refused = run("d", "avx1024", &[]);
    let expected = "error: KO_STS_CPU: `avx1024` is no level of processors, expected one of portable, avx2, avx512, \
                    avx512-vnni, avx512-bf16, amx\n";
    assert_eq!((refused.status.code(), String::from_utf8(refused.stderr).unwrap().as_str()), (Some(1), expected));
}

#[test]
fn a_full_disk_leaves_no_part() {
    let folder = TempDir::new().unwrap();
    long_table(folder.path(), 5000);
    // A limit on the size of a file stands for a disk that is full; the signal that comes with it is ignored.
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec '{}' --model '{}' --device cpu --threads 1 --pooling mean --input long.tsv --output out",
        env!("CARGO_BIN_EXE_embed"),
        model().display()
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let (said, error) = stderr.split_once("error: ").unwrap();
    let said = said.split_once("precision: ").unwrap().0;
    assert_eq!(said, "long.tsv: tab-separated, UTF-8, with a header\ntexts: column \"text\"\n");
    assert!(error.lines().count() == 1 && error.starts_with("out/part-00000-00000.parquet"), "{stderr}");
    assert_eq!(parts(&folder.path().join("out")), Vec::<PathBuf>::new());
}

#[test]
fn parts_of_two_poolings_never_mix_and_older_settings_are_those_of_the_mean() {
    let folder = TempDir::new().unwrap();
    tables(folder.path());
    let run = |output: &str, pooling: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_embed"));
        command.current_dir(folder.path()).args(["--device", "cpu", "--threads", "1", "--model"]).arg(model());
        let output = command.args(["--input", "a.csv", "--output", output]).args(pooling).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (done, told) = run("mean", &[]);
    assert!(done && told.contains("no pooling of its own, mean is assumed: another is named by --pooling"), "{told}");
    assert!(run("mean", &["--pooling", "mean"]).0);
    let (done, line) = run("mean", &["--pooling", "cls"]);
    assert!(!done && line.contains("which differs in --pooling"), "{line}");
    assert!(run("cls", &["--pooling", "cls"]).0);
    assert!(!run("cls", &[]).0);
    let path = folder.path().join("mean/_embed.json");
    let text = fs::read_to_string(&path).unwrap();
    let older = text.replace("  \"pooling\": \"mean\",\n", "");
    assert_ne!(older, text);
    fs::write(&path, older).unwrap();
    assert!(run("mean", &[]).0);
    assert!(!run("mean", &["--pooling", "cls"]).0);
}

#[test]
fn a_truncated_model_gives_columns_of_its_width() {
    let folder = TempDir::new().unwrap();
    tables(folder.path());
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/st-roberta-tiny-old");
    let dir = folder.path().join("model");
    fs::create_dir_all(dir.join("1_Pooling")).unwrap();
    for entry in fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        fs::copy(&entry, dir.join(entry.file_name().unwrap())).unwrap();
    }
    fs::copy(from.join("1_Pooling/config.json"), dir.join("1_Pooling/config.json")).unwrap();
    fs::write(dir.join("config_sentence_transformers.json"), r#"{"truncate_dim": 8}"#).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_embed"));
    command.current_dir(folder.path()).args(["--device", "cpu", "--threads", "1", "--model"]).arg(&dir);
    assert!(command.args(["--input", "a.csv", "--output", "out"]).status().unwrap().success());
    let rows = read(&folder.path().join("out"));
    assert_eq!(rows.column_by_name("embedding").unwrap().as_fixed_size_list().value_length(), 8);
    let settings: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("out/_embed.json")).unwrap()).unwrap();
    assert_eq!((&settings["dimensions"], settings.get("pooling")), (&8.into(), None));
}

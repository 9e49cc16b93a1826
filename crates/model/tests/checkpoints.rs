//! Checkpoints are read back as they were written, and a damaged one is refused with one line that names the file.
#![allow(clippy::unwrap_used)] // A test may panic.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{assert_embeddings, copy_tree, fixture, json, texts};
use model::{Options, PromptChoice, SentenceEncoder, TrainableEncoder};
use tempfile::TempDir;

/// A copy of a fixture that a test may damage.
fn copy(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join(name);
    copy_tree(&fixture(name), &target);
    (folder, target)
}

/// The message with which loading fails; it must be one line.
fn refusal(dir: &Path) -> String {
    let message = SentenceEncoder::load(dir, &Options::default()).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} is not in {}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

fn trainable(dir: &Path) -> TrainableEncoder {
    TrainableEncoder::load(dir, &Options::default()).unwrap()
}

#[test]
fn a_saved_checkpoint_is_read_back_identical() {
    let sentences = texts(&json("embeddings.json")["sentences"]);
    for name in ["roberta-tiny", "bert-tiny", "st-roberta-tiny-new"] {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let encoder = trainable(&fixture(name));
        encoder.save(&first, "# card").unwrap();
        let back = trainable(&first);
        assert_eq!(back.tokenizer().max_seq_length(), encoder.tokenizer().max_seq_length(), "{name}");
        assert_eq!(back.encoder().encode(&sentences).unwrap(), encoder.encoder().encode(&sentences).unwrap(), "{name}");
        back.save(&second, "# card").unwrap();
        for file in [
            "model.safetensors",
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "modules.json",
            "manifest.json",
        ] {
            assert_eq!(fs::read(first.join(file)).unwrap(), fs::read(second.join(file)).unwrap(), "{name}: {file}");
        }
    }
}

#[test]
fn truncated_safetensors_are_refused() {
    let (_folder, dir) = copy("roberta-tiny");
    let file = dir.join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&file, &bytes[..length]).unwrap();
        assert!(refusal(&dir).contains("model.safetensors: not a whole safetensors file"), "{length} bytes");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("best");
    trainable(&fixture("roberta-tiny")).save(&dir, "").unwrap();
    let file = dir.join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    for position in [0, 9, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1;
        fs::write(&file, &damaged).unwrap();
        let message = refusal(&dir);
        assert!(message.contains("model.safetensors") && message.contains("damaged or changed"), "{message}");
    }
}

#[test]
fn a_flipped_bit_in_a_header_without_a_manifest_does_not_panic() {
    let (_folder, dir) = copy("roberta-tiny");
    let file = dir.join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    for position in 0..400 {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1 << (position % 8);
        fs::write(&file, &damaged).unwrap();
        // A flip within a head's name is no error; all that is asked for is one line, not a crash.
        if let Err(error) = SentenceEncoder::load(&dir, &Options::default()) {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
    }
}

#[test]
fn a_file_that_the_manifest_lists_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("best");
    trainable(&fixture("roberta-tiny")).save(&dir, "").unwrap();
    fs::remove_file(dir.join("sentence_bert_config.json")).unwrap(); // without it, another length would be taken
    assert!(refusal(&dir).contains("sentence_bert_config.json: missing, though manifest.json lists it"));
}

#[test]
fn a_damaged_pytorch_archive_is_refused() {
    let (_folder, dir) = copy("bert-tiny");
    let file = dir.join("pytorch_model.bin");
    let bytes = fs::read(&file).unwrap();
    for length in [0, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&file, &bytes[..length]).unwrap();
        assert!(refusal(&dir).contains("pytorch_model.bin: not a whole PyTorch archive"), "{length} bytes");
    }
    for position in (0..bytes.len()).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x10;
        fs::write(&file, &damaged).unwrap();
        if let Err(error) = SentenceEncoder::load(&dir, &Options::default()) {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
    }
}

#[test]
fn weights_with_strides_and_of_the_first_form_give_the_embeddings_of_transformers() {
    let expected = json("bert-nano.json");
    let sentences = texts(&expected["sentences"]);
    let options = Options { max_seq_length: Some(32), ..Options::default() };
    for name in ["bert-nano-strided", "bert-nano-legacy"] {
        let embeddings =
            SentenceEncoder::load(fixture(name), &options).unwrap().encode(&sentences).unwrap().to_tensor();
        assert_embeddings(&embeddings, &expected["mean"], name);
    }
}

#[test]
fn a_tensor_that_repeats_few_numbers_does_not_pass_for_a_large_one() {
    let (_folder, dir) = copy("bert-nano-legacy");
    fs::copy(fixture("torch-files/expanded.bin"), dir.join("pytorch_model.bin")).unwrap();
    replace(&dir.join("config.json"), "\"vocab_size\": 60", "\"vocab_size\": 1073741824");
    assert!(refusal(&dir).contains("pytorch_model.bin: 5 parameters, expected"), "{}", refusal(&dir));
}

#[test]
fn an_adapter_is_refused_by_name_alone_and_beside_its_model() {
    let (_folder, dir) = copy("roberta-tiny");
    fs::write(
        dir.join("adapter_config.json"),
        r#"{"peft_type": "LORA", "base_model_name_or_path": "klue/roberta-base"}"#,
    )
    .unwrap();
    fs::write(dir.join("adapter_model.safetensors"), "").unwrap();
    let expected = "adapter_config.json: a PEFT adapter of `klue/roberta-base`, expected a whole model: merge the two by \
                    PEFT's merge_and_unload() and save the result";
    assert!(refusal(&dir).ends_with(expected), "{}", refusal(&dir));
    fs::remove_file(dir.join("config.json")).unwrap();
    fs::remove_file(dir.join("model.safetensors")).unwrap();
    assert!(refusal(&dir).ends_with(expected), "{}", refusal(&dir));
}

#[test]
fn a_configuration_of_absurd_length_is_not_read() {
    for (name, file) in [("roberta-tiny", "config.json"), ("bert-tiny-sharded", "model.safetensors.index.json")] {
        let (_folder, dir) = copy(name);
        let path = dir.join(file);
        fs::remove_file(&path).unwrap();
        fs::File::create(&path).unwrap().set_len(5 << 20).unwrap();
        assert!(refusal(&dir).contains(&format!("{file}: larger than 4 MiB")), "{}", refusal(&dir));
    }
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    let (_folder, dir) = copy("roberta-tiny");
    replace(&dir.join("config.json"), "\"intermediate_size\": 64", "\"intermediate_size\": 60");
    assert!(
        refusal(&dir).ends_with(
            "model.safetensors: tensor `roberta.encoder.layer.0.intermediate.dense.weight` has shape [64, 32], expected [60, 32] by config.json"
        ),
        "{}",
        refusal(&dir)
    );
}

#[test]
fn a_missing_tensor_is_named() {
    let (_folder, dir) = copy("roberta-tiny");
    replace(&dir.join("config.json"), "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    assert!(
        refusal(&dir).contains("tensor `roberta.encoder.layer.2.attention.self.query.weight` is missing"),
        "{}",
        refusal(&dir)
    );
}

#[test]
fn a_directory_without_a_tokenizer_is_refused() {
    let (_folder, dir) = copy("roberta-tiny");
    fs::remove_file(dir.join("tokenizer.json")).unwrap();
    assert!(refusal(&dir).contains("no tokenizer: expected tokenizer.json, or vocab.txt"), "{}", refusal(&dir));
}

#[test]
fn an_unsupported_module_or_pooling_is_refused_by_name() {
    let (_folder, dir) = copy("st-roberta-tiny-old");
    replace(&dir.join("1_Pooling/config.json"), "\"pooling_mode_mean_tokens\"", "\"pooling_mode_median_tokens\"");
    assert!(
        refusal(&dir).contains("pooling mode `median_tokens`, expected one of cls, max, mean"),
        "{}",
        refusal(&dir)
    );
    replace(&dir.join("modules.json"), "sentence_transformers.models.Pooling", "sentence_transformers.models.CNN");
    assert!(refusal(&dir).contains("module `sentence_transformers.models.CNN` is not supported"), "{}", refusal(&dir));
}

#[test]
fn the_pooling_that_a_layout_names_is_applied_and_kept() {
    let expected = json("embeddings.json");
    let sentences = texts(&expected["sentences"]);
    let load = |dir: &Path| {
        let max_seq_length = expected["max_seq_length"].as_u64().map(|length| length as usize);
        TrainableEncoder::load(dir, &Options { max_seq_length, ..Options::default() }).unwrap()
    };
    for (mode, flag) in [("cls", "cls_token"), ("max", "max_tokens")] {
        let (_old_folder, old) = copy("st-roberta-tiny-old");
        let switch = |flag: &str, from: bool| {
            let value = |value: bool| format!("\"pooling_mode_{flag}\": {value}");
            replace(&old.join("1_Pooling/config.json"), &value(from), &value(!from));
        };
        switch("mean_tokens", true);
        switch(flag, false);
        let (folder, new) = copy("st-roberta-tiny-new");
        replace(&new.join("1_Pooling/config.json"), "\"mean\"", &format!("\"{mode}\""));
        let saved = folder.path().join("saved");
        load(&new).save(&saved, "").unwrap();
        for dir in [old, new, saved] {
            let embeddings = load(&dir).encoder().encode(&sentences).unwrap().to_tensor();
            assert_embeddings(&embeddings, &expected["models"]["roberta-tiny"][mode], &dir.display().to_string());
        }
    }
}

#[test]
fn a_normalize_module_is_applied_and_kept() {
    let (folder, dir) = copy("st-roberta-tiny-old");
    let plain = SentenceEncoder::load(&dir, &Options::default()).unwrap().encode(&["비가 온다."]).unwrap().to_tensor();
    let module = r#"{"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}"#;
    let modules = fs::read_to_string(dir.join("modules.json")).unwrap();
    fs::write(dir.join("modules.json"), format!("{}, {module}]", modules.trim_end().trim_end_matches(']'))).unwrap();
    let encoder = trainable(&dir);
    let saved = folder.path().join("saved");
    encoder.save(&saved, "").unwrap();
    let again = trainable(&saved);
    for encoder in [encoder, again] {
        let embedding = encoder.encoder().encode(&["비가 온다."]).unwrap().to_tensor();
        assert!((embedding.norm().double_value(&[]) - 1.0).abs() < 1e-6);
        assert!((model::similarity(&embedding, &plain).double_value(&[]) - 1.0).abs() < 1e-6);
    }
}

#[test]
fn lower_case_by_sentence_transformers_is_applied() {
    let (_folder, dir) = copy("st-roberta-tiny-old");
    let encode =
        |sentence: &str| SentenceEncoder::load(&dir, &Options::default()).unwrap().encode(&[sentence]).unwrap();
    let (upper, lower) = (encode("T"), encode("t"));
    assert_ne!(upper, lower);
    replace(&dir.join("sentence_bert_config.json"), "\"do_lower_case\": false", "\"do_lower_case\": true");
    assert_eq!(encode("T"), lower);
}

#[test]
fn what_the_newer_layout_asks_beyond_hidden_states_is_refused_by_name() {
    for (from, to, expected) in [
        ("feature-extraction", "fill-mask", "transformer_task `fill-mask` is not supported"),
        ("last_hidden_state", "pooler_output", "method_output_name `pooler_output` is not supported"),
        (
            "{\n    \"transformer_task\"",
            "{\"processing_kwargs\": {\"text\": {\"max_length\": 10}},\n \"transformer_task\"",
            "processing_kwargs",
        ),
    ] {
        let (_folder, dir) = copy("st-roberta-tiny-new");
        replace(&dir.join("sentence_bert_config.json"), from, to);
        assert!(refusal(&dir).contains(expected), "{}", refusal(&dir));
    }
}

#[test]
fn truncation_on_the_left_is_refused() {
    let (_folder, dir) = copy("roberta-tiny");
    replace(&dir.join("tokenizer_config.json"), "{", "{\"truncation_side\": \"left\",");
    assert!(refusal(&dir).contains("truncation_side `left` is not supported"), "{}", refusal(&dir));
}

#[test]
fn every_user_can_read_a_checkpoint() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("best");
    trainable(&fixture("roberta-tiny")).save(&dir, "").unwrap();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o444, 0o444, "{}", path.display());
    }
}

#[test]
fn a_prompt_stands_before_every_text_and_is_kept() {
    let (folder, dir) = copy("st-roberta-tiny-old");
    let path = dir.join("config_sentence_transformers.json");
    replace(&path, "\"prompts\": {}", "\"prompts\": {\"query\": \"질문: \", \"passage\": \"\"}");
    let load = |prompt: PromptChoice| TrainableEncoder::load(&dir, &Options { prompt, ..Options::default() }).unwrap();
    let plain = load(PromptChoice::Default);
    let [text, prompted] = ["비가 온다.", "질문: 비가 온다."].map(|text| plain.encoder().encode(&[text]).unwrap());
    assert!(!text.to_tensor().allclose(&prompted.to_tensor(), 1e-3, 1e-3, false));
    assert!(plain.encoder().prompt_note("m", "--prompt-name").is_some_and(|note| note.contains("query \"질문: \"")));
    let named = load(PromptChoice::Named("query".to_owned()));
    let given = load(PromptChoice::Text("질문: ".to_owned()));
    for encoder in [&named, &given] {
        assert_eq!(encoder.encoder().encode(&["비가 온다."]).unwrap(), prompted);
        assert_eq!(encoder.encoder().prompt_note("m", "--prompt-name"), None);
    }
    // Whoever loads what is saved gets the same, and all of the prompts.
    let saved = folder.path().join("saved");
    given.save(&saved, "# card").unwrap();
    let again = SentenceEncoder::load(&saved, &Options::default()).unwrap();
    assert_eq!(again.encode(&["비가 온다."]).unwrap(), prompted);
    assert_eq!(again.prompts().default_name(), Some("query"));
    assert_eq!(again.prompts().names().collect::<Vec<_>>(), ["passage", "query"]);
    let options = Options { prompt: PromptChoice::Named("document".to_owned()), ..Options::default() };
    let message = SentenceEncoder::load(&dir, &options).unwrap_err().to_string();
    assert!(message.ends_with("the model has no prompt `document`: it has passage, query"), "{message}");
}

#[test]
fn a_default_prompt_that_is_none_of_the_models_is_refused() {
    let (_folder, dir) = copy("st-roberta-tiny-old");
    let path = dir.join("config_sentence_transformers.json");
    replace(&path, "\"default_prompt_name\": null", "\"default_prompt_name\": \"query\"");
    assert!(refusal(&dir).contains("default_prompt_name is \"query\", which is none of prompts"), "{}", refusal(&dir));
}

#[test]
fn a_path_out_of_the_directory_is_refused() {
    let (_folder, dir) = copy("st-roberta-tiny-old");
    replace(&dir.join("modules.json"), "\"path\": \"1_Pooling\"", "\"path\": \"../1_Pooling\"");
    assert!(refusal(&dir).contains("leads out of the directory"), "{}", refusal(&dir));
    let (_folder, dir) = copy("roberta-tiny");
    fs::write(dir.join("manifest.json"), r#"{"files": {"/dev/zero": {"size": 0, "sha256": ""}}}"#).unwrap();
    assert!(refusal(&dir).contains("`/dev/zero` is not the name of a file"), "{}", refusal(&dir));
}

#[test]
fn a_tokenizer_with_more_special_tokens_than_room_is_refused() {
    let options = Options { max_seq_length: Some(3), ..Options::default() };
    assert!(SentenceEncoder::load(fixture("roberta-tiny"), &options).is_ok());
    let (_folder, dir) = copy("roberta-tiny");
    replace(&dir.join("tokenizer_config.json"), "BertTokenizer", "PreTrainedTokenizerFast"); // the file as it is
    let mut tokenizer: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.join("tokenizer.json")).unwrap()).unwrap();
    let cls = tokenizer["post_processor"]["single"][0].clone();
    tokenizer["post_processor"]["single"].as_array_mut().unwrap().insert(0, cls);
    fs::write(dir.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let message = SentenceEncoder::load(&dir, &options).unwrap_err().to_string();
    assert!(message.contains("max_seq_length is 3, and 3 special tokens leave no room"), "{message}");
}

#[test]
fn a_special_token_beyond_the_vocabulary_is_refused() {
    let (_folder, dir) = copy("roberta-tiny");
    replace(&dir.join("tokenizer_config.json"), "BertTokenizer", "PreTrainedTokenizerFast"); // the file as it is
    let mut tokenizer: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.join("tokenizer.json")).unwrap()).unwrap();
    tokenizer["post_processor"]["special_tokens"]["[CLS]"]["ids"][0] = 500_000.into();
    fs::write(dir.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let encoder = SentenceEncoder::load(&dir, &Options::default()).unwrap();
    let message = encoder.encode(&["비가 온다."]).unwrap_err().to_string();
    assert_eq!(message, "tokenizer: id 500000 is beyond the vocabulary of 500");
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    for (from, to, expected) in [
        (
            "\"num_attention_heads\": 4",
            "\"num_attention_heads\": 5",
            "hidden_size 32 is not a multiple of num_attention_heads 5",
        ),
        ("\"hidden_size\": 32", "\"hidden_size\": 0", "hidden_size is 0"),
        ("\"hidden_size\": 32", "\"hidden_size\": \"32\"", "invalid type: string"),
        ("\"hidden_act\": \"gelu\"", "\"hidden_act\": \"mish\"", "hidden_act: unknown variant `mish`"),
        (
            "\"model_type\": \"roberta\"",
            "\"model_type\": \"gpt2\"",
            "model_type `gpt2` is not supported, expected one of bert, roberta",
        ),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000000000", "num_hidden_layers is 1000000000"),
        (
            "\"model_type\": \"roberta\"",
            "\"model_type\": \"deberta\"",
            "model_type `deberta` is not supported: DeBERTa's first",
        ),
        (
            "\"vocab_size\":",
            "\"attn_logit_softcapping\": 30, \"vocab_size\":",
            "attn_logit_softcapping is not supported",
        ),
        ("\"vocab_size\":", "\"vocab_sizes\":", "missing field `vocab_size`"),
        ("\"pad_token_id\": 1", "\"pad_token_id\": -9223372036854775808", "is outside the vocabulary"),
    ] {
        let (_folder, dir) = copy("roberta-tiny");
        replace(&dir.join("config.json"), from, to);
        let message = refusal(&dir);
        assert!(message.contains("config.json: ") && message.contains(expected), "{message}");
    }
}

#[test]
fn a_configuration_of_absurd_size_is_refused_before_memory_is_taken() {
    for (from, to) in [
        ("\"hidden_size\": 32", "\"hidden_size\": 1073741824"),
        ("\"intermediate_size\": 64", "\"intermediate_size\": 1073741824"),
    ] {
        let (_folder, dir) = copy("roberta-tiny");
        replace(&dir.join("config.json"), from, to);
        assert!(refusal(&dir).contains("parameters, expected"), "{}", refusal(&dir));
    }
}

#[test]
fn parameters_are_counted_as_they_are() {
    for name in ["roberta-tiny", "bert-tiny"] {
        let encoder = trainable(&fixture(name));
        let counted: usize = encoder.variables().values().map(tch::Tensor::numel).sum();
        assert_eq!(encoder.config().architecture().parameters(), counted as i128, "{name}");
    }
}

#[test]
fn a_tokenizer_beyond_the_vocabulary_is_refused() {
    let (_folder, dir) = copy("roberta-tiny");
    fs::copy(fixture("bert-tiny-sharded/tokenizer.json"), dir.join("tokenizer.json")).unwrap();
    let config = fs::read_to_string(dir.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["vocab_size"] = 100.into();
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    assert!(refusal(&dir).contains("and the encoder's vocab_size is 100"), "{}", refusal(&dir));
}

#[test]
fn what_is_no_directory_is_named() {
    let line = refusal(Path::new("klue/roberta-large"));
    assert!(line.starts_with("klue/roberta-large: no such directory; expected a model in Hugging Face's or"), "{line}");
}

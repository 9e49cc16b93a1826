"""Checkpoints with random weights, in the directory layout of sentence-transformers, for both sides to load.

    python scripts/bench/checkpoints.py FOLDER DATA_DIR SHAPE…

Prints each directory; one that is there is kept. Needs torch and transformers alone.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedConfig, RobertaConfig

MAX_SEQ_LENGTH = 128
SPECIAL_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("cls", "pad", "sep", "unk", "mask")}

# What differs from klue/roberta-base; the shape `small` is that of configs/kor-klue-small.toml.
CHANGES = {
    "small": {"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 1024},
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128},
}
LONG = 8192  # tokens, of the shape `long`: that of xlm-roberta-large
CHANGES["long"] = {"max_position_embeddings": LONG + 2}
CHANGES["reranker"] = {"num_labels": 1}  # of which the whole is a cross-encoder
# Other families in their published base shapes, with klue/roberta's vocabulary: monologg/koelectra-base-v3,
# distilbert-base-multilingual, kakaobank/kf-deberta-base, answerdotai/ModernBERT-base, Qwen/Qwen3-Embedding-0.6B.
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
FAMILIES = {
    "electra": {"model_type": "electra", "embedding_size": 768, **BASE},
    "distilbert": {"model_type": "distilbert"},
    "deberta": {
        "model_type": "deberta-v2",
        "relative_attention": True,
        "position_buckets": 256,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        **BASE,
    },
    "modernbert": {"model_type": "modernbert", "cls_token_id": 0, "sep_token_id": 2},
    "qwen3": {
        "model_type": "qwen3",
        "hidden_size": 1024,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 3072,
    },
}
SHAPES = ["base", "large", *CHANGES, *FAMILIES]


def shape_config(shape: str, data: Path) -> PreTrainedConfig:
    if shape in FAMILIES:
        ids = {"vocab_size": 32000, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
        return AutoConfig.for_model(**FAMILIES[shape] | ids)
    published = "large" if shape in ("large", "long") else "base"
    values = json.loads((data / "klue-roberta" / f"config-{published}.json").read_text(encoding="utf-8"))
    values.pop("tokenizer_class", None)
    return RobertaConfig(**values | CHANGES.get(shape, {}))


def checkpoint(shape: str, data: Path, folder: Path) -> Path:
    """The directory of a shape, made if it is not there."""
    directory = folder / "models" / shape
    if directory.exists():
        return directory
    unfinished = directory.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    torch.manual_seed(0)
    config = shape_config(shape, data)
    model_class = AutoModelForSequenceClassification if shape == "reranker" else AutoModel
    model_class.from_config(config).save_pretrained(unfinished)
    shutil.copyfile(data / "klue-roberta" / "tokenizer.json", unfinished / "tokenizer.json")
    write_tokenizer(unfinished, LONG if shape == "long" else MAX_SEQ_LENGTH)
    if shape != "reranker":
        write_modules(unfinished, config.hidden_size, LONG if shape == "long" else MAX_SEQ_LENGTH)
    unfinished.rename(directory)
    return directory


def write_tokenizer(directory: Path, max_seq_length: int) -> None:
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_seq_length, **SPECIAL_TOKENS}
    tokenizer["model_input_names"] = ["input_ids", "attention_mask"]  # some families have no types of tokens
    write_json(directory / "tokenizer_config.json", tokenizer)


def write_modules(directory: Path, hidden_size: int, max_seq_length: int) -> None:
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{name}"}
        for index, (name, path) in enumerate([("Transformer", ""), ("Pooling", "1_Pooling")])
    ]
    pooling = {"word_embedding_dimension": hidden_size, "pooling_mode_mean_tokens": True}
    (directory / "1_Pooling").mkdir()
    write_json(directory / "modules.json", modules)
    write_json(directory / "1_Pooling" / "config.json", pooling)
    write_json(directory / "sentence_bert_config.json", {"max_seq_length": max_seq_length, "do_lower_case": False})


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    folder, data, *shapes = sys.argv[1:]
    for shape in shapes:
        print(checkpoint(shape, Path(data), Path(folder)))


if __name__ == "__main__":
    main()

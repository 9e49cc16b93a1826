"""Checks that a checkpoint of `train` holds what text-embeddings-inference reads.

    "$python" scripts/interchange/check_tei.py CHECKPOINT

Prints the checks by name; exits with 1 if one fails. Source: `router/src/lib.rs` and `backends/candle/src/models/` of
text-embeddings-inference, whose structures refuse a file that lacks a key.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import safe_open
from tokenizers import Tokenizer

# `BertConfig` there, which RoBERTa shares; keys with a default there are left out.
CONFIG_SIZES = [
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "pad_token_id",
]
CONFIG_NUMBERS = ["hidden_dropout_prob", "initializer_range", "layer_norm_eps"]
# The flags that its structure of the pooling configuration has always had.
POOLING_FLAGS = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens"]


def read(checkpoint: Path, name: str) -> Any:
    return json.loads((checkpoint / name).read_text(encoding="utf-8"))


def architectures(checkpoint: Path) -> bool:
    config = read(checkpoint, "config.json")
    expected = {"bert": "BertModel", "roberta": "RobertaModel", "xlm-roberta": "XLMRobertaModel", "camembert": "CamembertModel"}
    return config["architectures"] == [expected[config["model_type"]]]


def config_keys(checkpoint: Path) -> bool:
    config = read(checkpoint, "config.json")
    sizes = all(type(config[key]) is int and config[key] >= 0 for key in CONFIG_SIZES)
    return sizes and all(type(config[key]) in (int, float) for key in CONFIG_NUMBERS) and type(config["hidden_act"]) is str


def positions(checkpoint: Path) -> bool:
    config, limit = read(checkpoint, "config.json"), read(checkpoint, "sentence_bert_config.json")["max_seq_length"]
    offset = 0 if config["model_type"] == "bert" else config["pad_token_id"] + 1
    return type(limit) is int and 0 < limit <= config["max_position_embeddings"] - offset


def tokenizer(checkpoint: Path) -> bool:
    loaded = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    ids = loaded.encode("네").ids
    largest = max(loaded.get_vocab(with_added_tokens=True).values())
    return len(ids) >= 3 and largest < read(checkpoint, "config.json")["vocab_size"]


def tokenizer_limits(checkpoint: Path) -> bool:
    loaded = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    return loaded.truncation is None and loaded.padding is None


def pooling(checkpoint: Path) -> bool:
    config = read(checkpoint, "1_Pooling/config.json")
    flags = [config[f"pooling_mode_{flag}"] for flag in POOLING_FLAGS]
    return all(type(flag) is bool for flag in flags) and sum(flags) == 1


def modules(checkpoint: Path) -> bool:
    listed = read(checkpoint, "modules.json")
    names = [module["type"].removeprefix("sentence_transformers.models.") for module in listed]
    folders = all((checkpoint / module["path"]).is_dir() for module in listed)
    return folders and names in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])


def weights(checkpoint: Path) -> bool:
    with safe_open(checkpoint / "model.safetensors", "np") as file:
        names = set(file.keys())
    layers = range(read(checkpoint, "config.json")["num_hidden_layers"])
    needed = {f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")}
    needed |= {f"encoder.layer.{layer}.attention.self.query.weight" for layer in layers}
    return needed <= names and all(name.startswith(("embeddings.", "encoder.")) for name in names)


def weights_format(checkpoint: Path) -> bool:
    with safe_open(checkpoint / "model.safetensors", "np") as file:
        dtypes = {file.get_slice(name).get_dtype() for name in file.keys()}
        return dtypes == {"F32"} and (file.metadata() or {}).get("format") == "pt"


CHECKS: dict[str, Callable[[Path], bool]] = {
    "config.json: architectures fits model_type": architectures,
    "config.json: every key that has no default": config_keys,
    "sentence_bert_config.json: max_seq_length within the positions": positions,
    "tokenizer.json: loads, adds special tokens, within the embedding table": tokenizer,
    "tokenizer.json: no truncation or padding of its own": tokenizer_limits,
    "1_Pooling/config.json: one of the older flags": pooling,
    "modules.json: older class names, folders exist": modules,
    "model.safetensors: names without a prefix": weights,
    "model.safetensors: f32, format pt": weights_format,
}


def holds(check: Callable[[Path], bool], checkpoint: Path) -> bool:
    try:
        return check(checkpoint)
    except Exception as error:  # a missing file or key, and whatever tokenizers raises: what the check is for
        print(f"{checkpoint}: {check.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
        return False


def failed_checks(checkpoint: Path) -> list[str]:
    return [name for name, check in CHECKS.items() if not holds(check, checkpoint)]


def main() -> int:
    checkpoint = Path(sys.argv[1])
    failed = failed_checks(checkpoint)
    for name in CHECKS:
        print("failed" if name in failed else "ok    ", name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

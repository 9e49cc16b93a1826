"""A tiny cross-encoder of every family: its numbers of pairs by sentence-transformers, its loss and its gradients by PyTorch.

A directory holds configuration and weights (in f16); the tokenizer is that of the tiny RoBERTa.
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from sentence_transformers import CrossEncoder
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import families
import sentences
from files import float32, write_json

MAX_LENGTH = 24
LONG = "비가 온다. " * 20
TEXTS = sentences.EMBEDDED
PAIRS = [*zip(TEXTS[:8], TEXTS[8:16], strict=True), (LONG, TEXTS[0]), (TEXTS[1], LONG), (LONG, LONG), ("", TEXTS[2]), (TEXTS[3], "")]
TYPED = {"bert", "electra", "electra-unprojected", "deberta-v2-typed", "deberta-v2-apart"}
BERT = {"model_type": "bert", "hidden_size": 24, "num_hidden_layers": 2, "type_vocab_size": 2}
ROBERTA = {"model_type": "roberta", "hidden_size": 24, "num_hidden_layers": 1, "type_vocab_size": 1}
OTHERS = {
    "bert": BERT,
    "roberta": ROBERTA,
    "modernbert-mean": families.FAMILIES["modernbert"] | {"classifier_pooling": "mean"},
}


def make(tokenizer_of: Path, fixtures: Path) -> None:
    shutil.rmtree(fixtures, ignore_errors=True)
    expected = {"max_length": MAX_LENGTH, "pairs": [list(pair) for pair in PAIRS], "models": {}}
    kinds = OTHERS | {name: keys for name, keys in families.FAMILIES.items() if name != "qwen3"}
    for seed, (name, keys) in enumerate(kinds.items()):
        expected["models"][name] = one(name, keys, seed, tokenizer_of, fixtures / name)
    write_json(fixtures / "cross-encoders.json", expected)


def one(name: str, keys: dict, seed: int, tokenizer_of: Path, folder: Path) -> dict:
    labels = 3 if seed % 3 == 2 else 1
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    config = families.config_of(keys, len(tokenizer))
    config.num_labels = labels
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    families.randomize(model, 50 + seed)
    model.half().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    families.clean(folder / "config.json")
    with tempfile.TemporaryDirectory() as whole:
        shutil.copytree(folder, whole, dirs_exist_ok=True)
        shutil.copy(tokenizer_of / "tokenizer.json", whole)
        own = json.loads((tokenizer_of / "tokenizer_config.json").read_text(encoding="utf-8"))
        names = ["input_ids", *(["token_type_ids"] if name in TYPED else []), "attention_mask"]
        own |= {"model_input_names": names, "model_max_length": MAX_LENGTH}
        Path(whole, "tokenizer_config.json").write_text(json.dumps(own), encoding="utf-8")
        cross_encoder = CrossEncoder(whole, device="cpu", model_kwargs={"dtype": torch.float32, "attn_implementation": "eager"})
        found = {
            "labels": labels,
            "scores": float32(cross_encoder.predict(PAIRS)),
            "logits": float32(cross_encoder.predict(PAIRS, activation_fn=torch.nn.Identity())),
        }
        return found | backpropagate(whole, labels)


def backpropagate(whole: str, labels: int) -> dict:
    """The loss of the first pairs, without dropout, and the norms of its gradients."""
    model = AutoModelForSequenceClassification.from_pretrained(whole, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(whole)
    batch = tokenizer(*map(list, zip(*PAIRS[:8], strict=True)), truncation=True, padding=True, return_tensors="pt")
    logits = model(**batch).logits
    if labels == 1:
        loss = binary_cross_entropy_with_logits(logits.squeeze(1), torch.arange(8) / 7)
    else:
        loss = cross_entropy(logits, torch.arange(8) % labels)
    loss.backward()
    gradients = {key: p.grad.norm().item() for key, p in model.named_parameters() if p.grad is not None}
    return {"class": type(model).__name__, "loss": loss.item(), "gradients": gradients}

"""Modules behind a transformer, static embeddings and quantized embeddings, by sentence-transformers.

A directory holds what is its own: the transformer's files and the tokenizer are those of the tiny RoBERTa.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Normalize, Pooling, StaticEmbedding, Transformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.util import quantize_embeddings
from tokenizers import Tokenizer
from torch import nn
from torch.nn.functional import cosine_similarity

import sentences
from files import float32, write_json

TEXTS = [*sentences.EMBEDDED[:6], "비", "가", "비가 온다. " * 30]
LABELS = [4.5, 0.5, 2.0, 3.5]
PROMPTS = {"query": "질문: ", "passage": ""}
WIDTH = 32


def heads() -> dict[str, list[nn.Module]]:
    """What stands behind the transformer."""
    everything = ["cls", "max", "mean", "mean_sqrt_len", "weightedmean", "lasttoken"]
    everything = [mode + "_tokens" if mode == "mean_sqrt_len" else mode for mode in everything]
    return {
        "dense": [
            Pooling(WIDTH, "mean"),
            Dense(WIDTH, 12, activation_function=nn.Tanh()),
            LayerNorm(12),
            Dropout(0.25),
            Dense(12, 9, bias=False, activation_function=nn.Identity()),
            Normalize(),
        ],
        "dense-gelu": [Pooling(WIDTH, "cls"), Normalize(), Dense(WIDTH, 40, activation_function=nn.GELU())],
        "without-prompt": [Pooling(WIDTH, everything, include_prompt=False)],
    }


def make(transformer: Path, fixtures: Path) -> None:
    shutil.rmtree(fixtures, ignore_errors=True)
    expected = {"texts": TEXTS, "labels": LABELS, "models": {}}
    for seed, (name, modules) in enumerate(heads().items()):
        torch.manual_seed(seed)
        for module in modules:
            for parameter in module.parameters():
                nn.init.normal_(parameter, 0.2, 0.4)
        model = SentenceTransformer(modules=[Transformer(str(transformer), max_seq_length=24), *modules], device="cpu")
        if name == "without-prompt":
            model.prompts, model.default_prompt_name = PROMPTS, "query"
        expected["models"][name] = reference(model)
        save(model, fixtures / name)
    torch.manual_seed(9)
    tokenizer = Tokenizer.from_file(str(transformer / "tokenizer.json"))
    table = torch.randn(tokenizer.get_vocab_size(), 10)
    for name, modules in {"static": [], "model2vec": [Normalize()]}.items():
        model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table.clone()), *modules], device="cpu")
        expected["models"][name] = reference(model)
        save(model, fixtures / name)
    as_model2vec(fixtures / "model2vec")
    expected["quantized"] = quantized()
    write_json(fixtures / "modules.json", expected)


def reference(model: SentenceTransformer) -> dict:
    """Embeddings, and the gradient's norms of a loss of the first texts as pairs, without dropout."""
    found = {"embeddings": float32(model.encode([*TEXTS, ""])), "truncated": float32(model.encode(TEXTS, truncate_dim=5))}
    model.eval().requires_grad_(True)
    pairs = model(model.preprocess(TEXTS[:8], prompt=model.prompts.get(model.default_prompt_name or "", "")))["sentence_embedding"]
    loss = ((5 * cosine_similarity(pairs[:4], pairs[4:], eps=1e-8) - torch.tensor(LABELS)) ** 2).mean()
    loss.backward()
    gradients = {name: p.grad.norm().item() for name, p in model.named_parameters() if p.grad is not None}
    return found | {"loss": loss.item(), "gradients": gradients}


def save(model: SentenceTransformer, folder: Path) -> None:
    model.save_pretrained(str(folder), create_model_card=False)
    for path in folder.iterdir():
        if path.name.startswith("tokenizer") or path.name == "special_tokens_map.json":
            path.unlink()
    if (folder / "config.json").exists():
        (folder / "config.json").unlink()
        (folder / "model.safetensors").unlink()
        # The length stands in the tokenizer's configuration, which is the tiny RoBERTa's.
        keys = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        write_json(folder / "sentence_bert_config.json", keys | {"max_seq_length": model.max_seq_length})
    settings = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))
    settings.pop("__version__", None)
    write_json(folder / "config_sentence_transformers.json", settings)


def as_model2vec(folder: Path) -> None:
    """The names that model2vec gives to the same."""
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    save_file({"embeddings": tensors["embedding.weight"]}, folder / "model.safetensors")
    write_json(folder / "config.json", {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True})


def quantized() -> dict:
    generator = np.random.default_rng(5)
    embeddings = generator.standard_normal((7, 13), dtype=np.float32)
    embeddings[2, 4] = 0.0
    calibration = generator.standard_normal((50, 13), dtype=np.float32)
    calibration[:, 6] = 0.5  # a dimension without a range
    ranges = np.vstack((calibration.min(axis=0), calibration.max(axis=0)))
    by = {name: quantize_embeddings(embeddings, name, ranges=ranges).tolist() for name in ("int8", "uint8", "binary", "ubinary")}
    return {"embeddings": float32(embeddings), "calibration": float32(calibration), "ranges": float32(ranges), **by}

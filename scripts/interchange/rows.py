"""A row of the matrix before it is judged: a model directory, and what it has to give."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentence_transformers import CrossEncoder
from transformers.utils import logging as transformers_logging

OURS = "ko-sts"


@dataclass
class Row:
    """What stands in `model` was written by `writer`; `reader` encoded `sentences` to `vectors`, or has to refuse it."""

    writer: str
    what: str
    reader: str
    model: str
    sentences: str = ""  # path of the text file
    vectors: str = ""  # path of the safetensors file
    refused: str = ""  # what a refusal has to name
    failed: str = ""  # why `reader` could not


def layout(model: Path) -> str:
    """How the directory is laid out, by the files that sentence-transformers' versions differ in."""
    if not (model / "modules.json").exists():
        return "plain"
    pooling = model / "1_Pooling" / "config.json"
    if not pooling.exists():
        return "-"
    return "newer" if "pooling_mode" in json.loads(pooling.read_text(encoding="utf-8")) else "older"


def save_vectors(path: Path, texts: list[str], vectors: torch.Tensor) -> dict[str, str]:
    """Writes `PATH.txt` and `PATH.safetensors`, and names them as a row does."""
    text, tensors = path.with_name(path.name + ".txt"), path.with_name(path.name + ".safetensors")
    text.write_text("".join(f"{line}\n" for line in texts), encoding="utf-8")
    save_file({"embeddings": vectors.cpu().contiguous()}, tensors)
    return {"sentences": str(text), "vectors": str(tensors)}


def scores(path: str, texts: list[str]) -> torch.Tensor:
    """What a cross-encoder gives the first text with each of them: (1, texts), as if it were an embedding."""
    pairs = [(texts[0], text) for text in texts]
    return CrossEncoder(path, device="cpu").predict(pairs, convert_to_tensor=True).unsqueeze(0)


def save_rows(path: Path, rows: list[Row]) -> None:
    path.write_text(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=1), encoding="utf-8")


def load_rows(path: Path) -> list[Row]:
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def quiet() -> None:
    """Heads that are left out, and models made into sentence encoders, are no news."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)

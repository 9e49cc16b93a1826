"""The servers that are compared: how each is started, asked for a pair, and what its answer says."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import numpy

from server import HOST, Failed, Server, get, post

HERE = Path(__file__).resolve().parent
Pair = tuple[str, str]


@dataclass(frozen=True)
class Side:
    """`line` is the request of a pair as load.lua reads it, `cosine` what the body of its answer says."""

    name: str
    environment: str | None  # of scripts/bench/environments.sh; None: ours
    command: Callable[[Path], list[str | Path]]  # of a model directory
    line: Callable[[Pair], str]
    cosine: Callable[[bytes], float]


def predict_line(pair: Pair) -> str:
    return "/predict?" + urlencode({"sentence1": pair[0], "sentence2": pair[1]})


def predict_cosine(body: bytes) -> float:
    return json.loads(body)["cosine"]


def infinity_line(pair: Pair) -> str:
    return "/embeddings\t" + json.dumps({"model": "model", "input": list(pair)})


def infinity_cosine(body: bytes) -> float:
    first, second = (numpy.array(entry["embedding"]) for entry in json.loads(body)["data"])
    return float(first @ second / numpy.linalg.norm(first) / numpy.linalg.norm(second))


def ours(precision: str) -> Side:
    # Without its cache of embeddings: no answer is to come from an earlier one.
    options = ["--precision", precision, "--cache-mib", "0", "--port", "PORT"]
    return Side(f"ko-sts {precision}", None, lambda model: ["--model", model, *options], predict_line, predict_cosine)


def home_made(precision: str) -> Side:
    def command(model: Path) -> list[str | Path]:
        return ["python", HERE / "home_made.py", "--model", model, "--precision", precision, "--port", "PORT"]

    return Side(f"FastAPI {precision}", "fastapi", command, predict_line, predict_cosine)


def infinity() -> Side:
    def command(model: Path) -> list[str | Path]:
        listen = ["--host", HOST, "--port", "PORT"]
        engine = ["--engine", "torch", "--device", "cpu", "--dtype", "float32", "--no-bettertransformer"]
        return ["infinity_emb", "v2", "--model-id", model, "--served-model-name", "model", *engine, *listen]

    return Side("infinity f32", "infinity", command, infinity_line, infinity_cosine)


SIDES = {
    side.name: side for side in [*map(ours, ("int8", "bf16", "f32")), *map(home_made, ("f32", "bf16")), infinity()]
}


def start(side: Side, model: Path, program: Path, environments: Path, log: Path) -> Server:
    first, *rest = side.command(model)
    if side.environment is None:
        words = [program, first, *rest]
    else:
        words = [environments / side.environment / "bin" / str(first), *rest]
    if not Path(words[0]).exists():
        raise Failed(f"{side.name}: no {words[0]}")
    return Server(side.name, words, log, {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"})


def ask(side: Side, port: int, pair: Pair) -> float:
    """The cosine that a server gives a pair."""
    path, _, body = side.line(pair).partition("\t")
    status, answer = post(port, path, json.loads(body)) if body else get(port, path)
    if status != 200:
        raise Failed(f"{side.name}: status {status} to {path}: {answer[:200]!r}")
    return side.cosine(answer)

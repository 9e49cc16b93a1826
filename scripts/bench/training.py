"""The job `train`: pairs a second and peak memory beside sentence-transformers' trainer."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, harmonic_mean

import texts
from machine import NO_BF16, computes_bf16, goal
from processes import Failed, run
from results import Comparison, Table
from settings import HERE, Amounts, Places

BATCH_SIZE = 32
LOSS_TOLERANCE = 0.2
SPEED = [
    Comparison("ko-sts bf16", "ko-sts f32", "≥ 1"),
    Comparison("ko-sts bf16", "sentence-transformers bf16", goal("≥ 1.8", amx="≥ 2.3")),
    Comparison("ko-sts bf16", "sentence-transformers f32"),
    Comparison("ko-sts f32", "sentence-transformers f32", "≥ 1.8"),
]
MEMORY = [
    Comparison("ko-sts bf16", "sentence-transformers bf16", "≤ 1.0"),
    Comparison("ko-sts f32", "sentence-transformers f32", "≤ 1.0"),
]
SIDES = ["sentence-transformers f32", "ko-sts f32", "sentence-transformers bf16", "ko-sts bf16"]


def training(shape: str, amounts: Amounts, places: Places) -> list[Table]:
    """Each run is a process of its own, on the same pairs; dropout is on, as in the recipe."""
    model = places.cache / "models" / shape
    pairs = texts.klue_sts_train(places.data)
    number = (amounts.steps + 1) * BATCH_SIZE
    train = texts.write_pairs(places.work / "train.csv", pairs[:number])
    dev = texts.write_pairs(places.work / "dev.csv", pairs[number : number + 8])
    sides = [side for side in SIDES if side != "sentence-transformers bf16" or computes_bf16()]
    note = "" if computes_bf16() else NO_BF16
    speed = Table("Training", "pairs/s", {side: [] for side in sides}, SPEED, note)
    memory = Table("Peak memory of the process", "MiB", {side: [] for side in sides}, MEMORY)
    for _ in range(amounts.training_rounds):
        runs = {}
        for side in sides:
            name, precision = side.rsplit(" ", 1)
            if name == "ko-sts":
                runs[side] = ours(model, train, dev, precision, places)
            else:
                runs[side] = theirs("train_peer.py", places.python("torch"), model, train, precision, places)
            speed.sides[side].append(runs[side].pairs_per_second)
            memory.sides[side].append(runs[side].peak_memory / 2**20)
        check_losses(runs)
    return [speed, memory]


@dataclass(frozen=True)
class Run:
    """What one run gave; the loss is the mean of (cosine − label / 5)² over all steps."""

    pairs_per_second: float
    loss: float
    peak_memory: int


def check_losses(runs: dict[str, Run]) -> None:
    """The same pairs in another order, with other dropout: losses are close where both sides do the same."""
    reference = next(iter(runs.values())).loss
    for side, run_ in runs.items():
        if not abs(run_.loss / reference - 1) <= LOSS_TOLERANCE:  # not `>`: NaN must fail
            raise Failed(f"{side}: mean loss {run_.loss:.4f}, and {next(iter(runs))} has {reference:.4f}")


def theirs(
    script: str, python: Path, model: Path, train: Path, precision: str, places: Places, device: str = "cpu"
) -> Run:
    output = places.work / "peer.json"
    command = [python, HERE / script, "--model", model, "--pairs", train]
    command += ["--precision", precision, "--output", output, "--device", device]
    peak = run(command, places.log(f"{Path(script).stem} train"))
    return Run(**json.loads(output.read_text(encoding="utf-8")), peak_memory=peak)


def ours(model: Path, train: Path, dev: Path, precision: str, places: Places, device: str = "cpu") -> Run:
    output = places.work / "run"
    command = [places.binaries / "train", "--config", HERE / "train.toml", "--output", output, "--device", device]
    for key, value in {
        "model.init": model,
        "data.train": [str(train)],
        "data.dev": [str(dev)],
        "train.precision": precision,
    }.items():
        command += ["--set", f"{key}={json.dumps(value if isinstance(value, list) else str(value))}"]
    peak = run(command, places.log("ko-sts train"))
    lines = (output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    shutil.rmtree(output)
    os.sync()  # the checkpoint is written out before the next run begins
    steps = [entry for entry in map(json.loads, lines) if entry["event"] == "step"]
    loss = fmean(step["loss"] for step in steps) / 25  # ours is of 5 · cosine
    return Run(harmonic_mean(step["pairs_per_second"] for step in steps[1:]), loss, peak)

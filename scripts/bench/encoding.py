"""The jobs `encode` and `pair`: sentences a second, and how long one pair takes, beside sentence-transformers."""

from pathlib import Path

import numpy
from safetensors.numpy import load_file

import texts
from machine import NO_BF16, computes_bf16, emulates_bf16, goal
from processes import Failed, Side
from results import Comparison, Table
from settings import FAMILIES, HERE, Amounts, Places

REFERENCE = "torch f32"
# Random weights bring no accuracy to lose: bf16 and int8 are held to being the same computation, no more.
LIMITS = {"f32": 1e-5, "bf16": 0.05, "int8": 0.05}
OURS = ("ko-sts f32", "ko-sts bf16", "ko-sts int8")
LARGE_PEERS = ("torch f32", "torch bf16")
CHECKED = 64  # sentences that all sides must agree on

ENCODE = [
    Comparison("ko-sts f32", "torch f32"),
    Comparison("ko-sts bf16", "torch f32"),
    Comparison("ko-sts bf16", "ko-sts f32", "≥ 1"),
    Comparison("ko-sts bf16", "torch bf16", goal("≥ 1.25", amx="≥ 2")),
    Comparison("ko-sts bf16", "OpenVINO bf16", goal("≥ 1.1", amx="≥ 1.5")),
    Comparison("ko-sts f32", "OpenVINO f32"),
    Comparison("ko-sts f32", "ONNX Runtime f32"),
    Comparison("ko-sts int8", "torch bf16"),
    Comparison("ko-sts int8", "ONNX Runtime int8", goal("≥ 1.4", amx="≥ 2.2")),
]
FAMILY = [Comparison("ko-sts f32", "torch f32", "≥ 1.3"), *ENCODE[1:]]
PAIR = [
    Comparison("ko-sts f32", "torch f32"),
    Comparison("ko-sts bf16", "torch bf16"),
    Comparison("ko-sts bf16", "OpenVINO bf16"),
    Comparison("ko-sts int8", "OpenVINO bf16"),
    Comparison("ko-sts int8", "ONNX Runtime int8", goal("≤ 0.8", amx="≤ 0.6")),
]


class Encoding:
    """All sides of one shape, each with its model loaded. Starts them; closes them at its end."""

    def __init__(self, shape: str, amounts: Amounts, places: Places) -> None:
        self.amounts, self.places = amounts, places
        self.model = places.cache / "models" / shape
        peers = [peer for peer in amounts.peers if shape not in ("large", *FAMILIES) or peer in LARGE_PEERS]
        self.is_other_family = shape in FAMILIES
        if not computes_bf16():
            peers.remove("torch bf16")
        if emulates_bf16() and "OpenVINO bf16" in peers:
            peers.remove("OpenVINO bf16")
        distinct = texts.kor_sts_test(places.data)[: amounts.sentences]
        self.sentences = texts.write_lines(places.work / "sentences.txt", distinct)
        self.checked = texts.write_lines(places.work / "checked.txt", distinct[:CHECKED])
        self.pair = texts.write_lines(places.work / "pair.txt", texts.TYPICAL_PAIR)
        self.number = len(distinct)
        self.sides = [start(name, self.model, places) for name in (*peers, *OURS)]

    def __enter__(self) -> "Encoding":
        try:
            for side in self.sides:
                side.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for side in self.sides:
            side.close()

    def agreement(self) -> Table:
        """How far each side's vectors are from torch's in f32; also the first, unmeasured pass of each."""
        vectors = {side.name: self.vectors(side) for side in self.sides}
        table = Table("How far the vectors are apart", f"largest 1 − cosine to {REFERENCE}", {})
        for name, rows in vectors.items():
            distance = largest_distance(rows, vectors[REFERENCE])
            limit = LIMITS[name.split()[-1]]
            if not distance <= limit:  # not `>`: NaN must fail
                raise Failed(f"{name} is {distance:.1e} in cosine from {REFERENCE}, expected at most {limit:.0e}")
            table.sides[name] = [distance]
        return table

    def vectors(self, side: Side) -> numpy.ndarray:
        output = self.places.work / "vectors.safetensors"
        side.tell("vectors", self.checked, output)
        return load_file(output)["embeddings"]

    def throughput(self) -> Table:
        note = "" if computes_bf16() else NO_BF16
        comparisons = FAMILY if self.is_other_family else ENCODE
        table = Table("Encoding", "sentences/s", {side.name: [] for side in self.sides}, comparisons, note)
        for _ in range(self.amounts.rounds):
            for side in self.sides:
                table.sides[side.name].append(self.number / side.ask("encode", self.sentences))
        return table

    def latency(self) -> Table:
        table = Table("One pair", "ms, median of a round", {side.name: [] for side in self.sides}, PAIR)
        for side in self.sides:
            side.tell("pair", self.pair, 3)
        for _ in range(self.amounts.rounds):
            for side in self.sides:
                table.sides[side.name].append(side.ask("pair", self.pair, self.amounts.pairs_a_round))
        return table

    def memory(self) -> Table:
        peaks = {side.name: [side.ask("memory") / 2**20] for side in self.sides}
        comparisons = [Comparison(entry.side, entry.beside) for entry in ENCODE]
        return Table("Peak memory of the process", "MiB", peaks, comparisons, "Loading included.")


def start(name: str, model: Path, places: Places) -> Side:
    engine, precision = name.rsplit(" ", 1)
    options = ["--model", str(model), "--precision", precision, "--device", "cpu"]
    log = places.log(f"{name} {model.name}")
    if engine == "ko-sts":
        return Side(name, [places.binaries / "examples" / "bench", *options], log)
    environment = {"torch": "torch", "OpenVINO": "openvino", "ONNX Runtime": "onnx"}[engine]
    return Side(name, [places.python(environment), HERE / "peer.py", "--engine", environment, *options], log)


def largest_distance(rows: numpy.ndarray, reference: numpy.ndarray) -> float:
    rows, reference = rows.astype(float), reference.astype(float)
    norms = numpy.linalg.norm(rows, axis=1) * numpy.linalg.norm(reference, axis=1)
    return float(numpy.abs(1 - (rows * reference).sum(1) / norms).max())

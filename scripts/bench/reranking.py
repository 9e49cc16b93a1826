"""The job `rerank`: a query read together with a thousand short texts, beside sentence-transformers' CrossEncoder."""

import numpy
from safetensors.numpy import load_file

import texts
from encoding import start
from machine import NO_BF16, computes_bf16
from processes import Failed, Side
from results import Comparison, Table
from settings import Amounts, Places

SHAPE = "reranker"
TEXTS = 1_000
REFERENCE = "torch f32"
OURS = ("ko-sts f32", "ko-sts bf16", "ko-sts int8")
# Of the model's numbers, which random weights leave within some tenths of each other.
LIMITS = {"f32": 1e-5, "bf16": 0.05, "int8": 0.05}
COMPARISONS = [
    Comparison("ko-sts f32", REFERENCE),
    Comparison("ko-sts bf16", REFERENCE),
    Comparison("ko-sts bf16", "torch bf16", "≥ 2"),
    Comparison("ko-sts int8", REFERENCE, "≥ 2"),
    Comparison("ko-sts int8", "torch bf16", "≥ 2"),
]


def reranking(amounts: Amounts, places: Places) -> list[Table]:
    """All sides in turn; the first pass of each is that of which the numbers are compared."""
    names = (REFERENCE, *(["torch bf16"] if computes_bf16() else []), *OURS)
    lines = texts.kor_sts_test(places.data)[: TEXTS + 1 if amounts.sentences is None else amounts.sentences]
    file = texts.write_lines(places.work / "reranked.txt", lines)
    sides = [start(name, places.cache / "models" / SHAPE, places) for name in names]
    try:
        for side in sides:
            side.wait_until_ready()
        apart = Table("How far the numbers are apart", f"largest difference to {REFERENCE}", {})
        reference = numbers(sides[0], file, places)
        for side in sides:
            distance = float(numpy.abs(numbers(side, file, places) - reference).max())
            if not distance <= LIMITS[side.name.split()[-1]]:  # not `>`: NaN must fail
                raise Failed(f"{side.name} is {distance:.1e} from {REFERENCE}")
            apart.sides[side.name] = [distance]
        note = "" if computes_bf16() else NO_BF16
        speed = Table("Reranking", "texts/s", {side.name: [] for side in sides}, COMPARISONS, note)
        for _ in range(amounts.rounds):
            for side in sides:
                speed.sides[side.name].append((len(lines) - 1) / side.ask("rerank", file))
        peaks = {side.name: [side.ask("memory") / 2**20] for side in sides}
    finally:
        for side in sides:
            side.close()
    return [speed, Table("Peak memory of the process", "MiB", peaks, COMPARISONS[:1], "Loading included."), apart]


def numbers(side: Side, file: object, places: Places) -> numpy.ndarray:
    output = places.work / "numbers.safetensors"
    side.tell("numbers", file, output)
    return load_file(output)["numbers"]

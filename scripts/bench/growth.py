"""The jobs `growth` and `memory`: time a sentence and peak memory where sentences grow many."""

from itertools import islice
from pathlib import Path

import texts
from encoding import start
from processes import run
from results import Comparison, Table
from settings import Amounts, Places

SHAPE = "small"
PRECISION = "bf16"


def time_per_sentence(amounts: Amounts, places: Places) -> Table:
    """The same sentences once in calls of few and once in one call of many, so that only the number differs."""
    file = texts.write_lines(places.work / "many.txt", list(islice(texts.many_sentences(places.data), amounts.many)))
    few, many = f"{amounts.few:,} at a time", f"{amounts.many:,} at a time"
    table = Table("Time a sentence", "µs", {few: [], many: []}, [Comparison(many, few, "≤ 1.05")])
    side = start(f"ko-sts {PRECISION}", places.cache / "models" / SHAPE, places)
    try:
        side.wait_until_ready()
        for _ in range(amounts.rounds):
            table.sides[few].append(1e6 * side.ask("encode", file, amounts.few) / amounts.many)
            table.sides[many].append(1e6 * side.ask("encode", file) / amounts.many)
    finally:
        side.close()
    return table


def memory(amounts: Amounts, places: Places) -> Table:
    few, many = (f"{number:,} sentences" for number in (amounts.few_rows, amounts.many_rows))
    peaks = {few: [peak(amounts.few_rows, places)], many: [peak(amounts.many_rows, places)]}
    return Table("Peak memory of the process", "MiB", peaks, [Comparison(many, few, "≤ 1.2")])


def peak(sentences: int, places: Places) -> float:
    table = write_unlabelled(places.work / "pairs.csv", sentences, places)
    command = [places.binaries / "eval", "--model", places.cache / "models" / SHAPE, "--data", table]
    command += ["--precision", PRECISION, "--device", "cpu", "--predictions", places.work / "predictions.csv"]
    return run(command, places.log("ko-sts eval")) / 2**20


def write_unlabelled(path: Path, sentences: int, places: Places) -> Path:
    sides = texts.many_sentences(places.data)
    with open(path, "w", encoding="utf-8") as file:
        file.write("sentence1,sentence2\n")
        for _ in range(sentences // 2):
            file.write(",".join('"' + next(sides).replace('"', '""') + '"' for _ in range(2)) + "\n")
    return path

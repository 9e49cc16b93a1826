"""The job `length`: time a token and peak memory where a sentence grows long, beside sentence-transformers."""

from pathlib import Path

from tokenizers import Tokenizer

import texts
from encoding import start
from processes import Side
from results import Comparison, Table
from settings import Amounts, Places

SHAPE = "long"
SIDES = ("torch f32", "ko-sts f32", "ko-sts int8")
SHORT, LONG = 128, 2048
LENGTHS = (SHORT, 512, LONG)


def length(amounts: Amounts, places: Places) -> list[Table]:
    """One sentence in a call, of each length in turn."""
    model = places.cache / "models" / SHAPE
    files = {tokens: write(places, model, tokens) for tokens in LENGTHS}
    name = "{}, {:,} tokens".format
    ratios = [Comparison(name(side, LONG), name(side, SHORT), "≤ 1.5" if "ko-sts" in side else "") for side in SIDES]
    ratios += [Comparison(name(side, LONG), name(SIDES[0], LONG)) for side in SIDES[1:]]
    times = Table("Time a token", "ms", {name(side, tokens): [] for side in SIDES for tokens in LENGTHS}, ratios)
    limits = [Comparison(name(side, LONG), name(SIDES[0], LONG), "≤ 1") for side in SIDES[1:]]
    peaks = Table("Peak memory of the process", "MiB", {}, limits, "Loading included.")
    sides: list[Side] = []
    try:
        for side in SIDES:
            sides.append(start(side, model, places))
            sides[-1].wait_until_ready()
        for tokens, (file, exact) in files.items():
            for side in sides:
                side.ask("encode", file)  # once before it counts
            for _ in range(amounts.long_rounds):
                for side in sides:
                    times.sides[name(side.name, tokens)].append(1e3 * side.ask("encode", file) / exact)
            for side in sides:
                peaks.sides[name(side.name, tokens)] = [side.ask("memory") / 2**20]
    finally:
        for side in sides:
            side.close()
    return [times, peaks]


def write(places: Places, model: Path, tokens: int) -> tuple[Path, int]:
    """A file of one line of about this many tokens, and how many exactly."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    line = ""
    for sentence in texts.many_sentences(places.data):
        longer = f"{line} {sentence}".strip()
        if (count := len(tokenizer.encode(longer).ids)) > tokens:
            break
        line, exact = longer, count
    return texts.write_lines(places.work / f"{tokens}-tokens.txt", [line]), exact

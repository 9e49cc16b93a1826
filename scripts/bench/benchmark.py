"""Measures ko-sts beside its Python peers and writes BENCHMARKS.md. Started by run.sh, which makes what it needs."""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path

from encoding import Encoding
from growth import SHAPE as GROWTH_SHAPE
from growth import memory, time_per_sentence
from length import SHAPE as LENGTH_SHAPE
from length import length
from machine import busy, commit, kind, machine, versions
from processes import Failed
from report import load_all, report, section_of
from reranking import SHAPE as RERANKER
from reranking import reranking
from results import Result, Table
from settings import FAMILIES, FULL, HERE, QUICK, ROOT, Amounts, Places
from training import training

JOBS = ["encode", "pair", "train", "rerank", "length", "growth", "memory"]
SHAPES = ["base", "large", "small", "tiny", *FAMILIES]
BUSY = 0.05  # share of the cores' time, of a machine that has something else to do
ABOUT = {
    "encode": "Distinct sentences of KorSTS test, shuffled; the peers encode in batches of 32, as they sort them.",
    "pair": "Both sentences of one pair, about 13 tokens each, in one call.",
    "train": "Pairs of KLUE-STS train in batches of 32, dropout on, AdamW; the first step of a run is left out.",
    "rerank": "A query with 1,000 sentences of KorSTS test, in the shape of klue/roberta-base; the peer takes batches of 32.",
    "length": "One sentence a call, in the shape of xlm-roberta-large with its 8,192 positions.",
    "growth": "ko-sts alone, with the encoder of configs/kor-klue-small.toml in bf16, on distinct sentences.",
    "memory": "ko-sts alone, with the same encoder: `eval` on a CSV without labels.",
}


def names(allowed: list[str]) -> object:
    """A type for argparse: names with commas between."""

    def parse(text: str) -> list[str]:
        asked = text.split(",")
        if unknown := [name for name in asked if name not in allowed]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; expected some of {','.join(allowed)}")
        return asked

    return parse


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench/run.sh", description=__doc__.split(".")[0] + ".")
    parser.add_argument("--quick", action="store_true", help="at most 5 minutes: one shape, few sentences and rounds")
    parser.add_argument("--shapes", type=names(SHAPES), help="default: base,large; with --quick: base")
    parser.add_argument("--jobs", type=names(JOBS), default=JOBS, help=f"default: {','.join(JOBS)}")
    parser.add_argument("--rounds", type=int, help="runs of each side (default: 5)")
    parser.add_argument("--sentences", type=int, help="how many of KorSTS test to encode (default: all)")
    parser.add_argument("--steps", type=int, help="training steps that are measured (default: 4)")
    parser.add_argument(
        "--output", type=Path, help="default: BENCHMARKS.md; with --quick: target/bench-quick/BENCHMARKS.md"
    )
    arguments = parser.parse_args()
    for name in ("rounds", "sentences", "steps"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            parser.error(f"--{name} {value}: expected at least 1")
    return arguments


def amounts(arguments: argparse.Namespace) -> Amounts:
    amounts = QUICK if arguments.quick else FULL
    given = {"sentences": arguments.sentences, "steps": arguments.steps}
    given |= {"rounds": arguments.rounds, "training_rounds": arguments.rounds}
    given |= {"long_rounds": arguments.rounds}
    return replace(amounts, **{name: value for name, value in given.items() if value is not None})


def make_models(shapes: list[str], encodes: bool, places: Places) -> None:
    say(f"models: {', '.join(shapes)}")
    scripts = [["torch", "checkpoints.py", places.cache, places.data, *shapes]]
    if encodes:
        exported = [shape for shape in shapes if shape not in ("large", GROWTH_SHAPE, LENGTH_SHAPE, RERANKER, *FAMILIES)]
        scripts += [
            [engine, "export.py", engine, places.cache / "models" / shape]
            for shape in exported
            for engine in ("onnx", "openvino")
        ]
    for environment, script, *rest in scripts:
        subprocess.run([places.python(environment), HERE / script, *rest], check=True, stdout=sys.stderr)


def measure(arguments: argparse.Namespace, shapes: list[str], amounts: Amounts, places: Places) -> None:
    share = busy()
    if share > BUSY:
        say(f"warning: the cores are {share:.0%} busy: beside other work, no figure is worth anything")

    def save(name: str, title: str, tables: list[Table]) -> None:
        about = ABOUT[name.split("-")[0]]
        result = Result(title, about, date.today().isoformat(), commit(), command_line(), share, tables)
        result.save(places.results / f"{name}.json")

    for shape in shapes:
        if {"encode", "pair"} & set(arguments.jobs):
            say(f"{shape}: loading all sides")
            with Encoding(shape, amounts, places) as encoding:
                agreement = encoding.agreement()
                if "encode" in arguments.jobs:
                    say(f"{shape}: encoding {encoding.number} sentences, {amounts.rounds} rounds")
                    throughput = encoding.throughput()
                    save(f"encode-{shape}", f"Encoding, {shape} shape", [throughput, encoding.memory(), agreement])
                if "pair" in arguments.jobs:
                    say(f"{shape}: one pair, {amounts.rounds} rounds")
                    save(f"pair-{shape}", f"One pair, {shape} shape", [encoding.latency()])
        if "train" in arguments.jobs:
            say(f"{shape}: training, {amounts.training_rounds} rounds")
            save(f"train-{shape}", f"Training, {shape} shape", training(shape, amounts, places))
    if "rerank" in arguments.jobs:
        say(f"rerank: {amounts.rounds} rounds")
        save("rerank", "Reranking, base shape", reranking(amounts, places))
    if "length" in arguments.jobs:
        say(f"length: {amounts.long_rounds} rounds")
        save("length", "Long sentences, large shape", length(amounts, places))
    if "growth" in arguments.jobs:
        say(f"growth: {amounts.many} sentences, {amounts.rounds} rounds")
        save("growth", "Growth of time", [time_per_sentence(amounts, places)])
    if "memory" in arguments.jobs:
        say(f"memory: a CSV of {amounts.many_rows} sentences")
        save("memory", "Growth of memory", [memory(amounts, places)])


def command_line() -> str:
    return shlex.join(["scripts/bench/run.sh", *sys.argv[1:]])


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def main() -> int:
    arguments = parse_arguments()
    quick = arguments.quick
    shapes = arguments.shapes or (["base"] if quick else ["base", "large"])
    results = ROOT / "target" / ("bench-quick" if quick else "bench")
    results.mkdir(parents=True, exist_ok=True)
    for old in [*results.glob("*.log"), *(results.glob("*.json") if quick else [])]:
        old.unlink()  # processes append to logs; a quick run reports itself alone
    output = arguments.output or (results if quick else ROOT) / "BENCHMARKS.md"
    with tempfile.TemporaryDirectory(dir=results) as work:
        places = Places(
            data=Path(os.environ["STS_DATA_DIR"]),
            cache=Path(os.environ["BENCH_ENVIRONMENTS"]),
            binaries=Path(os.environ["KO_STS_BIN"]),
            results=results,
            work=Path(work),
        )
        models = shapes + [GROWTH_SHAPE] * bool({"growth", "memory"} & set(arguments.jobs))
        models += [RERANKER] * ("rerank" in arguments.jobs)
        models += [LENGTH_SHAPE] * ("length" in arguments.jobs)
        make_models(models, "encode" in arguments.jobs or "pair" in arguments.jobs, places)
        try:
            measure(arguments, shapes, amounts(arguments), places)
        except Failed as error:
            print(f"bench: error: {error}", file=sys.stderr)
            return 1
        order = [f"{job}-{shape}" for shape in SHAPES for job in JOBS[:3]] + JOBS[3:]
        before = output.read_text(encoding="utf-8") if output.exists() else ""
        part = section_of(kind(), machine(), versions(places), load_all(results, order))
        output.write_text(report(before, kind(), part), encoding="utf-8")
    say(f"written: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures ko-sts on a GPU beside PyTorch, in turn: encoding at 128 tokens, training, peak memory.

    python3 scripts/bench/gpu.py --data-dir DATA [--device cuda:0] [--jobs encode,train,whole] [--output FILE.md]
    python3 scripts/bench/gpu.py --data-dir DATA --device cpu --tiny        # the test of this script

For a host with torch 2.11 and transformers. The programs (train, examples/bench) may have been built elsewhere; they
run on this torch's libraries. The peers are transformers with SDPA in bf16, and sentence-transformers where it is
installed. Prints tables in Markdown as they come; fails where vectors are not those of transformers in f32.
"""

import argparse
import importlib.util
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
import transformers
from safetensors.numpy import load_file
from transformers import AutoConfig, AutoTokenizer

import texts
from checkpoints import MAX_SEQ_LENGTH, checkpoint
from device_memory import peak_during
from encoding import LIMITS, largest_distance
from matrix_rate import matrix_rate, sentence_operations
from processes import Failed, Side, run
from report import section
from results import Comparison, Table
from settings import HERE, ROOT, Places
from training import BATCH_SIZE, Run, check_losses, ours, theirs

REFERENCE = "transformers f32"
OURS = "ko-sts bf16"
EPOCHS, EPOCH_PAIRS = 5, 10_501  # of KLUE-STS train, without the tenth that is set aside as dev


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    shape: str
    sentences: int
    steps: int
    matrix: int
    rounds: int
    batch_sizes: tuple[int, ...]


FULL = Size("large", sentences=8_192, steps=100, matrix=8_192, rounds=3, batch_sizes=(32, 256))
TINY = Size("tiny", sentences=64, steps=3, matrix=256, rounds=2, batch_sizes=(32,))


JOBS = ["encode", "train", "whole"]


def has(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) for package in packages)


class Gpu:
    """One run of the benchmark."""

    def __init__(self, size: Size, device: str, places: Places) -> None:
        self.size, self.device, self.places = size, device, places
        self.model = checkpoint(size.shape, places.data, places.cache)
        self.long = texts.write_lines(places.work / "long.txt", self.long_sentences())
        self.real = texts.write_lines(places.work / "real.txt", texts.kor_sts_test(places.data)[:64])

    def long_sentences(self) -> list[str]:
        """Texts that fill all tokens of a sequence."""
        tokenizer = AutoTokenizer.from_pretrained(self.model)
        real, long = texts.many_sentences(self.places.data), []
        while len(long) < self.size.sentences:
            text = " ".join(islice(real, 6))
            while len(tokenizer(text).input_ids) < MAX_SEQ_LENGTH:
                text += " " + next(real)
            long.append(text)
        return long

    def start(self, name: str, precision: str, *command: object) -> Side:
        options = ["--model", self.model, "--precision", precision, "--device", self.device]
        side = Side(name, [*command, *options], self.places.log(f"gpu {name}"))
        side.wait_until_ready()
        return side

    def ours(self, precision: str) -> Side:
        return self.start(f"ko-sts {precision}", precision, self.places.binaries / "examples" / "bench")

    def peer(self, engine: str, precision: str, name: str, batch_size: int = 32) -> Side:
        command = [sys.executable, HERE / "peer.py", "--engine", engine, "--batch-size", str(batch_size)]
        return self.start(name, precision, *command)

    def peers(self) -> dict[str, tuple[str, int]]:
        """Engine and batch size by the side's name."""
        engines = {"transformers": "transformers"}
        if has("sentence_transformers"):
            engines["torch"] = "sentence-transformers"
        sides = [(engine, name, size) for engine, name in engines.items() for size in self.size.batch_sizes]
        return {f"{name} bf16, batches of {size}": (engine, size) for engine, name, size in sides}

    def agreement(self) -> Table:
        table = Table("How far the vectors are apart", f"largest 1 − cosine to {REFERENCE}", {})
        reference = self.vectors(self.peer("transformers", "f32", REFERENCE))
        for precision in ("f32", "bf16"):
            distance = largest_distance(self.vectors(self.ours(precision)), reference)
            if not distance <= LIMITS[precision]:  # not `>`: NaN must fail
                raise Failed(f"ko-sts {precision} is {distance:.1e} in cosine from {REFERENCE}")
            table.sides[f"ko-sts {precision}"] = [distance]
        return table

    def vectors(self, side: Side) -> object:
        output = self.places.work / "vectors.safetensors"
        side.tell("vectors", self.real, output)
        side.close()
        return load_file(output)["embeddings"]

    def encoding(self) -> list[Table]:
        """Each side starts alone, so that the memory which it takes can be told from the others'."""
        memory = Table("Peak memory, encoding", self.memory_unit(), {})
        sides: list[Side] = []

        def begin(name: str) -> Side:
            if name == OURS:
                side = self.ours("bf16")
            else:
                engine, batch_size = self.peers()[name]
                side = self.peer(engine, "bf16", name, batch_size)
            side.tell("encode", self.long)  # the warm-up
            return side

        try:
            for name in (*self.peers(), OURS):
                side, peak = peak_during(self.device, lambda name=name: begin(name))
                sides.append(side)
                memory.sides[name] = [(side.ask("memory") if peak is None else peak) / 2**20]
            speed = self.in_turn(sides)
        finally:
            for side in sides:
                side.close()
        memory.comparisons = [Comparison(OURS, name) for name in self.peers()]
        return [speed, self.shares(speed), memory]

    def in_turn(self, sides: list[Side]) -> Table:
        comparisons = [Comparison(OURS, name) for name in self.peers()]
        title = f"Encoding {self.size.sentences:,} texts of {MAX_SEQ_LENGTH} tokens, {self.size.shape} shape"
        speed = Table(title, "sentences/s", {side.name: [] for side in sides}, comparisons)
        for _ in range(self.size.rounds):
            for side in sides:
                speed.sides[side.name].append(self.size.sentences / side.ask("encode", self.long))
        return speed

    def shares(self, speed: Table) -> Table:
        rate = matrix_rate(self.device, self.size.matrix)
        operations = sentence_operations(AutoConfig.from_pretrained(self.model), MAX_SEQ_LENGTH)
        note = f"A product of {self.size.matrix}³ in bf16 runs at {rate / 1e12:.3g} TFLOP/s; "
        note += f"a sentence needs {operations / 1e9:.3g} GFLOP. Asked of {OURS}: at least 0.45."
        sides = {name: [value * operations / rate for value in values] for name, values in speed.sides.items()}
        return Table("Share of the matrix product's rate", "share", sides, note=note)

    def memory_unit(self) -> str:
        return "MiB of the process" if self.device == "cpu" else "MiB of the GPU"

    def training(self) -> list[Table]:
        pairs, number = texts.klue_sts_train(self.places.data), (self.size.steps + 1) * BATCH_SIZE
        train = texts.write_pairs(self.places.work / "train.csv", pairs[:number])
        dev = texts.write_pairs(self.places.work / "dev.csv", pairs[-8:])
        scripts = {"PyTorch loop bf16": "train_loop.py"}
        if has("sentence_transformers", "datasets", "accelerate"):
            scripts["sentence-transformers bf16"] = "train_peer.py"
        works = {
            name: lambda script=script: theirs(
                script, Path(sys.executable), self.model, train, "bf16", self.places, self.device
            )
            for name, script in scripts.items()
        } | {OURS: lambda: ours(self.model, train, dev, "bf16", self.places, self.device)}
        speed = Table("Training", "pairs/s", {name: [] for name in works}, [Comparison(OURS, name) for name in scripts])
        memory = Table("Peak memory, training", self.memory_unit(), {name: [] for name in works}, speed.comparisons)
        for _ in range(self.size.rounds):
            runs: dict[str, Run] = {}
            for name, work in works.items():
                runs[name], peak = peak_during(self.device, work)
                speed.sides[name].append(runs[name].pairs_per_second)
                memory.sides[name].append((runs[name].peak_memory if peak is None else peak) / 2**20)
            check_losses(runs)
        return [speed, epochs(speed), memory]

    def whole(self) -> list[Table]:
        """Seconds of `train` with the recipe that ships, from start to end."""
        command = [self.places.binaries / "train", "--config", ROOT / "configs" / "klue-roberta-large.toml"]
        command += ["--set", f'model.init="{self.model}"', "--device", self.device, "--data-dir", self.places.data]
        command += ["--output", self.places.work / "whole"]
        start = time.perf_counter()
        run(command, self.places.log("gpu whole run"))
        seconds = time.perf_counter() - start
        note = "The process from start to end, with dev and test sets and checkpoints."
        return [Table("The whole recipe: configs/klue-roberta-large.toml", "s", {OURS: [seconds]}, note=note)]


def epochs(speed: Table) -> Table:
    sides = {name: [EPOCHS * EPOCH_PAIRS / value for value in values] for name, values in speed.sides.items()}
    note = f"{EPOCH_PAIRS:,} pairs an epoch, at the speed above. Asked of {OURS}: at most 60 s."
    return Table(f"{EPOCHS} epochs of KLUE-STS train", "s", sides, note=note)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("STS_DATA_DIR"))
    parser.add_argument("--device", default="cuda:0", help="cuda:N or cpu (default: cuda:0)")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target" / "release", help="default: target/release")
    parser.add_argument("--cache", type=Path, default=ROOT / "target" / "bench-gpu", help="folder of models and logs")
    parser.add_argument("--tiny", action="store_true", help="a tiny model and few runs: the test of this script")
    parser.add_argument("--jobs", default="encode,train", help=f"some of {','.join(JOBS)} (default: encode,train)")
    parser.add_argument("--rounds", type=int, help="runs of each side (default: 3)")
    parser.add_argument("--output", type=Path, help="write the tables to this file, too")
    arguments = parser.parse_args()
    if arguments.data_dir is None:
        parser.error("--data-dir or STS_DATA_DIR must name the folder with klue-roberta/, kor-sts/ and klue-sts/")
    if unknown := set(arguments.jobs.split(",")) - set(JOBS):
        parser.error(f"--jobs: unknown {', '.join(unknown)}: expected some of {','.join(JOBS)}")
    return arguments


def measure(gpu: Gpu, jobs: list[str]) -> Iterator[Table]:
    yield gpu.agreement()
    for name, job in {"encode": gpu.encoding, "train": gpu.training, "whole": gpu.whole}.items():
        if name in jobs:
            yield from job()


def main() -> int:
    arguments = parse_arguments()
    cache = arguments.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    os.environ["LD_LIBRARY_PATH"] = str(Path(torch.__file__).parent / "lib")
    size = TINY if arguments.tiny else FULL
    if arguments.rounds:
        size = replace(size, rounds=arguments.rounds)
    processor = platform.processor() or platform.machine()
    name = processor if arguments.device == "cpu" else torch.cuda.get_device_name(arguments.device)
    parts = [f"{name}, torch {torch.__version__}, transformers {transformers.__version__}"]
    print(parts[0], flush=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        places = Places(arguments.data_dir.resolve(), cache, arguments.binaries.resolve(), cache, Path(work))
        try:
            for table in measure(Gpu(size, arguments.device, places), arguments.jobs.split(",")):
                parts.append(section(table))
                print(parts[-1], flush=True)
        except Failed as error:
            print(f"bench: error: {error}", file=sys.stderr)
            return 1
    if arguments.output:
        arguments.output.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

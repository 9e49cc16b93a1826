"""Training in 1, 2 and 4 processes on real KorSTS, compared; and the speed of 2 beside 1 at base shape.

    cargo build --release --bins --features train/mpi
    STS_DATA_DIR=… python3 scripts/scale/ranks.py [--jobs equal,speed]

With KO_STS_BIN, the `train` of that folder is taken.

`equal` trains the small encoder of configs/kor-klue-small.toml for an epoch, without dropout. `speed` takes steps of a
base-shaped encoder with fresh weights, one thread to a process, at every size of the whole run's batch.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("KO_STS_BIN", ROOT / "target/release") / pathlib.Path("train")
BASE = """
[model]
max_seq_length = 128
dropout = 0.0
[model.scratch]
vocab_size = 32000
hidden_size = 768
num_hidden_layers = 12
num_attention_heads = 12
intermediate_size = 3072
tokenizer = "data:klue-roberta/tokenizer.json"
[data]
train = ["kor-sts:train"]
dev = ["kor-sts:dev"]
[train]
epochs = 1
log_every_steps = 1
"""


def train(ranks, output, config, *settings):
    command = ["mpirun", "--allow-run-as-root", "--bind-to", "none", "--oversubscribe", "-q", "-n", str(ranks)]
    command += [PROGRAM, "--device", "cpu", "--threads", "1", "--config", config]
    command += ["--output", output]
    for setting in settings:
        command += ["--set", setting]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def entries(output):
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def equal(folder):
    runs = {}
    for ranks in 1, 2, 4:
        output = folder / f"ranks-{ranks}"
        only = ['data.train=["kor-sts:train"]', 'data.test=["kor-sts:test"]']
        settings = [*only, "train.epochs=1", "model.dropout=0.0"]
        if train(ranks, output, ROOT / "configs/kor-klue-small.toml", *settings).wait() != 0:
            sys.exit(f"error: training in {ranks} processes failed")
        report = json.loads((output / "report.json").read_text())
        losses = [entry["loss"] for entry in entries(output) if entry["event"] == "step"]
        runs[ranks] = losses, report["epochs"][-1]["dev"][-1], report["test"][0]
    print("| processes | largest difference of a step's loss | dev Pearson | test Pearson | Spearman | F1 |")
    print("|---|---|---|---|---|---|")
    for ranks, (losses, dev, test) in runs.items():
        difference = max(abs(a - b) for a, b in zip(losses, runs[1][0], strict=True))
        figures = dev["pearson"], test["pearson"]["r"], test["spearman"]["rho"], test["f1"]
        print(f"| {ranks} | {difference:.1e} | " + " | ".join(f"{figure:.6f}" for figure in figures) + " |", flush=True)


def speed(folder, batch_size, steps, rounds):
    config = folder / "base.toml"
    config.write_text(BASE)
    rates = {1: [], 2: []}
    for round in range(rounds):
        for ranks in rates:
            output = folder / f"speed-{batch_size}-{round}-{ranks}"
            run = train(ranks, output, config, f"train.batch_size={batch_size}")
            log = output / "metrics.jsonl"
            while not log.exists() or len(log.read_text().splitlines()) <= steps:
                try:
                    sys.exit(f"error: training in {ranks} processes ended with {run.wait(timeout=0.5)}")
                except subprocess.TimeoutExpired:
                    pass
            found = [entry["pairs_per_second"] for entry in entries(output) if entry["event"] == "step"]
            run.kill()
            run.wait()
            subprocess.run(["pkill", "-f", str(output)], check=False)
            rates[ranks].append(statistics.median(found[1:]))  # the first step lays things out
            print(f"round {round + 1}: {ranks} processes: {rates[ranks][-1]:.2f} pairs/s", file=sys.stderr, flush=True)
    ratios = [two / one for one, two in zip(rates[1], rates[2])]
    one, two = (statistics.median(rates[ranks]) for ranks in rates)
    print(f"\nbase shape, a thread to a process, batch {batch_size}: 1 process {one:.2f} pairs/s, 2 processes {two:.2f} pairs/s:", end=" ")
    print(f"{statistics.median(ratios):.2f} × ({min(ratios):.2f}–{max(ratios):.2f}), {rounds} rounds")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="equal,speed")
    parser.add_argument("--batch-sizes", default="32,64", help="of the whole run (default: 32,64)")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    if "STS_DATA_DIR" not in os.environ:
        sys.exit("error: set STS_DATA_DIR to the folder of the datasets")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if "equal" in arguments.jobs:
            equal(folder)
        if "speed" in arguments.jobs:
            for batch_size in arguments.batch_sizes.split(","):
                speed(folder, int(batch_size), arguments.steps, arguments.rounds)


if __name__ == "__main__":
    main()

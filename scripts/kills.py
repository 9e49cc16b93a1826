"""Kills small runs at random moments, until each has ended, and compares what is left with runs that never were.

    cargo build --release
    python3 scripts/kills.py [--kills 200] [--seed 1] [--bin target/release] [--keep DIR]

Three kinds of run, which between them spend their time in preparation (teachers, silver pairs, hard negatives), in steps and
in dev sets: fine-tuning with silver pairs, contrastive training with hard negatives, distillation. Each is killed by SIGKILL,
SIGTERM or SIGINT, again and again, at moments of the seed, and goes on by the same command with --resume. In the end its
weights, best and last, have to equal those of the run that was left alone byte for byte, and its log but for the speeds.
Needs nothing but the checkout. Ends with a line of counts, and status 1 where anything differs.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEACHER = ROOT / "checkpoints" / "ko-sts-small"
SAMPLE = ROOT / "data" / "sample"
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
PATIENCE_S = 300  # for a run that is left alone
MOST_STARTS = 400  # of one run: then it makes no headway

COMMON = f"""
seed = 7
[model]
max_seq_length = 32
[model.scratch]
vocab_size = 2000
hidden_size = 64
num_hidden_layers = 2
num_attention_heads = 2
intermediate_size = 128
[train]
epochs = 3
batch_size = 16
learning_rate = 1e-3
log_every_steps = 3
save_every_steps = 7
[data]
dev = ["{SAMPLE}/sample-dev.json"]
test = ["{SAMPLE}/sample-test.json"]
"""
RUNS = {
    "silver": f"""
train = ["{SAMPLE}/sample-train.json"]
[data.silver]
sentences = ["{SAMPLE}/sample-train.json"]
teachers = ["{TEACHER}"]
pairs = 300
""",
    "contrastive": f"""
train = ["pairs.csv"]
[data.hard_negatives]
model = "{TEACHER}"
""",
    "distillation": f"""
train = ["{SAMPLE}/sample-train.json"]
teachers = ["{TEACHER}"]
""",
}
OBJECTIVES = {"silver": "sts", "contrastive": "contrastive", "distillation": "distillation"}


def phase(run: Path) -> str:
    """What a run that was just killed had come to."""
    log = run / "metrics.jsonl"
    if not log.exists() or not log.stat().st_size:
        return "preparation"
    last = run / "last" / "trainer_state.json"
    if not last.exists():
        return "first steps"
    state = json.loads(last.read_text(encoding="utf-8"))
    epochs = [epoch for epoch in state["epochs"] if epoch["epoch"] > 0]
    done = epochs[-1]["step"] if epochs else 0
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    steps = [entry["step"] for entry in entries if entry["event"] == "step"]
    at_end = bool(steps) and max(steps) == state["step"] and state["step"] > done
    return "dev or test set" if at_end or len(epochs) == 3 else "steps"


def wait_for(aim: str, run: Path, process: subprocess.Popen) -> None:
    """Until a run is where it is to be killed, or has ended."""
    began = time.time()

    def has_come() -> bool:
        if aim == "any moment":
            return True
        if aim == "steps":
            log = run / "metrics.jsonl"
            return log.exists() and log.stat().st_size > 0 and time.time() - began > 0.3
        try:
            state = json.loads((run / "last" / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return (run / "last").stat().st_mtime > began and state["step"] % 7 != 0  # the end of an epoch

    while process.poll() is None and not has_come():
        time.sleep(0.002)


def log_of(run: Path) -> list[dict[str, object]]:
    entries = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in entry.items() if not key.endswith("_per_second")} for entry in entries]


def differences(run: Path, whole: Path) -> list[str]:
    found = []
    for name in ("best/model.safetensors", "last/model.safetensors", "last/optimizer.safetensors"):
        if (run / name).read_bytes() != (whole / name).read_bytes():
            found.append(name)
    if log_of(run) != log_of(whole):
        found.append("metrics.jsonl")
    own = {path.relative_to(run) for path in run.rglob("*") if "tensorboard" not in path.parts}
    other = {path.relative_to(whole) for path in whole.rglob("*") if "tensorboard" not in path.parts}
    return found + [f"{path} is in one alone" for path in sorted(own ^ other)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bin", type=Path, default=ROOT / "target" / "release")
    parser.add_argument("--keep", type=Path, help="a folder for the runs, which is left there")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    pairs = json.loads((SAMPLE / "sample-train.json").read_text(encoding="utf-8"))
    quoted = lambda text: '"' + text.replace('"', '""') + '"'  # noqa: E731
    rows = [
        f"{quoted(pair['sentence1'])},{quoted(pair['sentence2'])},{pair['labels']['real-label']}\n" for pair in pairs
    ]
    (folder / "pairs.csv").write_text("sentence1,sentence2,score\n" + "".join(rows), encoding="utf-8")
    commands, seconds = {}, {}
    for name, own in RUNS.items():
        config = folder / f"{name}.toml"
        config.write_text(f'objective = "{OBJECTIVES[name]}"\n{COMMON}{own}', encoding="utf-8")
        train = [str(arguments.bin.resolve() / "train"), "--device", "cpu", "--threads", "1", "--config", str(config)]
        commands[name] = train
        start = time.monotonic()
        whole = subprocess.run(
            [*train, "--output", f"{name}-whole"], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S
        )
        if whole.returncode:
            print(f"kills: error: {name}: {whole.stderr.strip()}", file=sys.stderr)
            return 1
        seconds[name] = time.monotonic() - start
        print(f"{name}: {seconds[name]:.1f} s when it is left alone", flush=True)
    killed, phases, ended, failed = Counter(), Counter(), 0, []
    while killed.total() < arguments.kills:
        name = list(RUNS)[ended % len(RUNS)]
        output = f"{name}-{ended}"
        for starts in range(MOST_STARTS):
            process = subprocess.Popen(
                [*commands[name], "--output", output, "--resume"],
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            by, aim = rng.choice(list(SIGNALS)), rng.choice(["any moment", "steps", "a dev set"])
            try:
                wait_for(aim, folder / output, process)
                delay = {"any moment": 0.4 * seconds[name], "steps": 0.3, "a dev set": 0.1}[aim]
                _, words = process.communicate(timeout=rng.uniform(0, delay))
            except subprocess.TimeoutExpired:
                process.send_signal(SIGNALS[by])
                _, words = process.communicate(timeout=PATIENCE_S)
                if process.returncode != 0:
                    killed[by] += 1
                    phases[phase(folder / output)] += 1
            if process.returncode == 0:
                break
            if process.returncode not in (-9, 128 + 15, 128 + 2, -15, -2):
                failed.append(f"{output}: status {process.returncode}: {words.strip().splitlines()[-1:]}")
                break
        else:
            failed.append(f"{output}: no end after {MOST_STARTS} starts")
        if not failed or not failed[-1].startswith(f"{output}:"):
            failed += [f"{output}: {what}" for what in differences(folder / output, folder / f"{name}-whole")]
        ended += 1
        print(f"{output}: ended after {starts} kills, {killed.total()} in all", flush=True)
        if not arguments.keep:
            shutil.rmtree(folder / output, ignore_errors=True)
    for what in failed:
        print(f"FAILED  {what}")
    told = lambda counts: ", ".join(f"{count} {what}" for what, count in counts.most_common())  # noqa: E731
    print(f"{killed.total()} kills ({told(killed)}) of {ended} runs; they were at: {told(phases)}")
    print(f"{ended - len({what.split(':')[0] for what in failed})} passed, {len({w.split(':')[0] for w in failed})} failed")
    if not arguments.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())

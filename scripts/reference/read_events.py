"""Shows that TensorBoard reads the event files of a run: every value logged is there, at its step.

    python3 -m venv VENV && VENV/bin/pip install tensorboard==2.21.0
    VENV/bin/python scripts/reference/read_events.py checkpoints/quickstart

Needs tensorboard alone, in an environment of its own. Compares RUN/tensorboard with RUN/metrics.jsonl and prints a line
per series; exits with 1 where a value is missing, too many, or off by more than an f32 is.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def logged(run: Path) -> dict[str, dict[int, float]]:
    """Per series: the value of each step."""
    series = defaultdict(dict)
    for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["event"] == "step":
            for name in ["loss", "learning_rate", "grad_norm", "pairs_per_second"]:
                series[f"train/{name}"][entry["step"]] = entry[name]
        else:
            for dev in entry["dev"]:
                for name in ["pearson", "spearman", "f1", "loss"]:
                    if dev[name] is not None:
                        series[f"dev/{dev['data']}/{name}"][entry["step"]] = dev[name]
    return series


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    if not (run / "tensorboard").is_dir():
        parser.error(f"{run}: holds no folder named tensorboard")
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})  # 0: keep all
    events.Reload()
    expected = logged(run)
    tags = sorted(set(events.Tags()["scalars"]) | set(expected))
    failed = not tags
    for tag in tags:
        found = events.Scalars(tag) if tag in events.Tags()["scalars"] else []
        wanted = expected.get(tag, {})
        agree = [event.step for event in found] == list(wanted) and all(
            abs(event.value - wanted[event.step]) <= 1e-6 * abs(wanted[event.step]) for event in found
        )
        failed |= not agree
        last = f"{found[-1].value:.6g} at step {found[-1].step}" if found else "none"
        print(f"{'same' if agree else 'DIFFERENT':9} {tag}: {len(found)} of {len(wanted)} values, the last {last}")
    sys.exit(failed)


if __name__ == "__main__":
    main()

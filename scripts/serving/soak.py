"""Mixed load at the edge of overload, with every answer checked.

    scripts/serving/run.sh soak [--seconds 600] [--model DIR] [--precision f32] [-- options of serve]

As many clients ask at once as the server just takes: their number grows until it answers 429, then shrinks. What they
get is compared with sentence-transformers on the same checkpoint. Fails on a status of 5xx, on an answer that is
missing or another request's, and where the server's memory at the end is more than 5 % from that after the first
minute.
"""

import argparse
import os
import sys
import threading
import time
from collections import Counter
from http.client import HTTPException
from pathlib import Path

from expected import Expected
from server import Failed, Server, serve
from traffic import Client, Wrong

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "bench"))
import texts  # noqa: E402
from checkpoints import checkpoint  # noqa: E402

LOG = ROOT / "target" / "serving" / "soak.log"
MOST_CLIENTS = 256
GROWTH, SHRINKAGE = 8, 0.7  # clients a second; factor
# So small that the engine has work, and a queue that can be full, though load and server share a machine.
OPTIONS = {"--cache-mib": "1", "--max-queue-tokens": "4096"}
FIRST_MINUTE_S = 60
MEMORY_DRIFT = 0.05
TOLERANCES = {"f32": 1e-3, "bf16": 0.1, "int8": 0.25}  # in a score on 0 to 5
MOST_COMPLAINTS = 5


class Load:
    """Clients in threads, of which the first `active` work."""

    def __init__(self, port: int, expected: Expected, tolerance: float) -> None:
        self.active, self.ended = 8, False
        self.counts: Counter[tuple[str, str]] = Counter()  # of (kind, outcome)
        self.complaints: list[str] = []
        self.lock = threading.Lock()
        clients = [Client(port, expected, tolerance, seed) for seed in range(MOST_CLIENTS)]
        self.threads = [threading.Thread(target=self.work, args=entry, daemon=True) for entry in enumerate(clients)]

    def work(self, number: int, client: Client) -> None:
        while not self.ended:
            if number >= self.active:
                client.connection.close()  # the server would, and the next request might be lost in between
                time.sleep(0.2)
                continue
            kind, outcome, wait = "request", "", 0.0
            try:
                kind, status, wait = client.one()
                outcome = str(status) if status else "hung up"
            except Wrong as error:
                outcome = "wrong"
                self.complain(str(error))
            except (OSError, HTTPException, ValueError) as error:  # no answer, or none that can be read
                outcome = "lost"
                self.complain(repr(error))
            with self.lock:
                self.counts[kind, outcome] += 1
            if outcome == "429":
                time.sleep(min(wait, 1))

    def complain(self, text: str) -> None:
        if len(self.complaints) < MOST_COMPLAINTS:
            self.complaints.append(text)

    def refusals(self) -> int:
        """Of the queue: files have a limit of their own."""
        with self.lock:
            entries = list(self.counts.items())
        return sum(number for (kind, outcome), number in entries if outcome == "429" and kind != "table")


def run(server: Server, load: Load, seconds: int) -> tuple[int, int]:
    """Bytes of memory after the first minute (or at a half, of a shorter run) and at the end."""
    start, early, refused = time.monotonic(), 0, 0
    for thread in load.threads:
        thread.start()
    while (elapsed := time.monotonic() - start) < seconds:
        time.sleep(1)
        if not server.is_alive():
            raise Failed(f"the server ended with {server.process.returncode}\n{server.tail()}")
        if not early and elapsed >= min(FIRST_MINUTE_S, seconds / 2):
            early = server.memory()
        now = load.refusals()
        fewer, more = max(2, int(load.active * SHRINKAGE)), min(MOST_CLIENTS, load.active + GROWTH)
        load.active = fewer if now > refused else more
        refused = now
        if int(elapsed) % 10 == 0:
            memory = server.memory() / 2**20
            say(f"{elapsed:4.0f} s: {sum(load.counts.values())} requests, {load.active} clients, {memory:.0f} MiB")
    load.ended = True
    for thread in load.threads:
        thread.join()
    return early, server.memory()


def report(load: Load, early: int, late: int, seconds: int) -> bool:
    """Prints the table; whether all is as it should be."""
    outcomes = sorted({outcome for _, outcome in load.counts})
    print(f"| request | {' | '.join(outcomes)} |\n|---|{'---:|' * len(outcomes)}")
    for kind in sorted({kind for kind, _ in load.counts}):
        print(f"| {kind} | {' | '.join(str(load.counts[kind, outcome]) for outcome in outcomes)} |")
    drift = late / early - 1
    early_mib, late_mib = early / 2**20, late / 2**20
    print(f"\n{sum(load.counts.values()) / seconds:.0f} requests/s")
    print(f"memory: {early_mib:.0f} MiB after the first minute, {late_mib:.0f} MiB at the end ({drift:+.1%})")
    for complaint in load.complaints:
        print(f"wrong or lost: {complaint}")
    answered = sum(number for (_, outcome), number in load.counts.items() if outcome == "200")
    bad = {outcome for outcome in outcomes if outcome not in ("200", "429", "hung up")}
    return not bad and answered > 0 and abs(drift) <= MEMORY_DRIFT


def say(text: str) -> None:
    print(f"soak: {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/serving/run.sh soak", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--model", type=Path, help="default: the shape `small`, random weights")
    parser.add_argument("--precision", choices=TOLERANCES, default="f32")
    parser.add_argument("options", nargs="*", help="of serve, after --")
    arguments = parser.parse_args()
    data = Path(os.environ["STS_DATA_DIR"])
    model = arguments.model or checkpoint("small", data, Path(os.environ["BENCH_ENVIRONMENTS"]))
    expected = Expected.of(texts.kor_sts_test(data), model)
    try:
        own = [word for name, value in OPTIONS.items() if name not in arguments.options for word in (name, value)]
        options = ["--model", model, "--precision", arguments.precision, *own, *arguments.options]
        with serve("serve", options, LOG) as server:
            load = Load(server.port, expected, TOLERANCES[arguments.precision])
            early, late = run(server, load, arguments.seconds)
            good = report(load, early, late, arguments.seconds)
            status = server.stop()
    except Failed as error:
        print(f"soak: error: {error}", file=sys.stderr)
        return 1
    if status != 0:
        print(f"the server ended with {status} on SIGTERM, expected 0")
    return 0 if good and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

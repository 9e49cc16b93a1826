"""Requests a second and latency of one pair a request, ours beside home-made FastAPI and infinity-emb, in turn.

    scripts/serving/run.sh peers [--rounds 3] [--seconds 10] [--clients 1,8,64] [--sides …] [--shape base]

All sides answer the same pairs of KorSTS with random weights; before anything is timed, their cosines are compared.
Each run's figures are added to target/serving/peers-SHAPE.jsonl, so that rounds may be taken at several times, and the
table is of all that lie there; --fresh forgets them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import sides
from server import HOST, Failed, Server
from sides import SIDES, Pair, Side

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "bench"))
import texts  # noqa: E402
from checkpoints import checkpoint  # noqa: E402
from machine import machine  # noqa: E402

RESULTS = ROOT / "target" / "serving"
REFERENCE = "FastAPI f32"
# Random weights bring no accuracy to lose: bf16 and int8 are held to being the same computation, no more.
LIMITS = {"f32": 1e-4, "bf16": 0.05, "int8": 0.05}
CHECKED = 20  # pairs that all sides must agree on
WARM_UP_S = 2
COMPARISONS = [
    ("ko-sts int8", "FastAPI f32"),
    ("ko-sts bf16", "FastAPI bf16"),
    ("ko-sts f32", "FastAPI f32"),
    ("ko-sts f32", "infinity f32"),
]


def pairs(data: Path) -> list[Pair]:
    """Pairs of distinct real sentences: no server can answer one from another."""
    sentences = texts.kor_sts_test(data)
    return list(zip(sentences[::2], sentences[1::2]))


def agreement(servers: dict[str, Server], checked: list[Pair]) -> None:
    cosines = {
        name: [sides.ask(SIDES[name], server.port, pair) for pair in checked] for name, server in servers.items()
    }
    reference = cosines.get(REFERENCE) or next(iter(cosines.values()))
    for name, values in cosines.items():
        apart = max(abs(ours - theirs) for ours, theirs in zip(values, reference))
        limit = LIMITS[name.split()[-1]]
        say(f"{name}: cosines within {apart:.1e} of {REFERENCE}'s")
        if not apart <= limit:  # not `>`: NaN must fail
            raise Failed(f"{name} is {apart:.1e} in cosine from {REFERENCE}, expected at most {limit:.0e}")


def measure(side: Side, server: Server, clients: int, seconds: int, lines: Path) -> dict[str, float]:
    """One run of wrk, whose clients send their next request as soon as they have an answer."""
    command = ["wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s", "--timeout", "60s"]
    command += ["--script", str(sides.HERE / "load.lua"), f"http://{HOST}:{server.port}"]
    run = subprocess.run(command, env=os.environ | {"REQUESTS": str(lines)}, capture_output=True, text=True)
    if run.returncode != 0:
        raise Failed(f"{side.name}: wrk ended with {run.returncode}: {run.stderr or run.stdout}")
    return json.loads(run.stdout.splitlines()[-1])


def rounds(arguments: argparse.Namespace, servers: dict[str, Server], work: list[Pair], results: Path) -> None:
    lines = RESULTS / "requests.txt"
    for round_ in range(arguments.rounds):
        for clients in arguments.clients:
            for name, server in servers.items():
                side = SIDES[name]
                lines.write_text("".join(f"{side.line(pair)}\n" for pair in work), encoding="utf-8")
                measure(side, server, clients, WARM_UP_S, lines)
                figures = measure(side, server, clients, arguments.seconds, lines)
                say(f"round {round_ + 1}, {clients} clients, {name}: {rate(figures):.1f} requests/s")
                with open(results, "a", encoding="utf-8") as file:
                    print(json.dumps({"side": name, "clients": clients} | figures), file=file)


def rate(figures: dict[str, float]) -> float:
    return figures["requests"] / figures["seconds"]


def table(results: Path) -> str:
    runs: dict[tuple[int, str], list[dict[str, float]]] = {}
    for line in results.read_text(encoding="utf-8").splitlines():
        run = json.loads(line)
        runs.setdefault((run["clients"], run["side"]), []).append(run)
    lines = [
        machine(),
        "",
        "| clients | server | requests/s | p50 ms | p90 ms | p99 ms | failed | runs |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    order = list(SIDES)
    for (clients, name), entries in sorted(runs.items(), key=lambda item: (item[0][0], order.index(item[0][1]))):
        answered = [entry for entry in entries if entry["requests"]]  # a run may be over before the first answer
        failed = sum(int(entry["failed"]) for entry in entries)
        figures = " | ".join(
            f"{statistics.median(entry[key] for entry in answered):.0f}" if answered else "–" for key in ("p50", "p90", "p99")
        )
        requests = statistics.median(map(rate, entries))
        lines.append(f"| {clients} | {name} | {requests:.1f} | {figures} | {failed} | {len(entries)} |")
    lines += [
        "",
        "| clients | requests/s of | beside | ratio, median of the rounds | spread |",
        "|---:|---|---|---:|---:|",
    ]
    for clients in sorted({clients for clients, _ in runs}):
        for name, beside in COMPARISONS:
            if (clients, name) in runs and (clients, beside) in runs:
                both = zip(runs[clients, name], runs[clients, beside])
                ratios = [rate(a) / rate(b) for a, b in both if b["requests"]]
                if not ratios:
                    lines.append(f"| {clients} | {name} | {beside} | no answer of the other within a run | – |")
                    continue
                middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
                lines.append(f"| {clients} | {name} | {beside} | {middle:.2f} | {low:.2f}–{high:.2f} |")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/serving/run.sh peers", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="of each run (default: 10)")
    parser.add_argument("--clients", type=lambda text: [int(part) for part in text.split(",")], default=[1, 8, 64])
    parser.add_argument("--sides", type=lambda text: text.split(","), default=list(SIDES), help=", ".join(SIDES))
    parser.add_argument("--shape", default="base", help="base, large, small or tiny")
    parser.add_argument("--fresh", action="store_true", help="forget the figures of earlier runs")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.sides if name not in SIDES]:
        parser.error(f"--sides: unknown {', '.join(unknown)}; expected some of {', '.join(SIDES)}")
    return arguments


def say(text: str) -> None:
    print(f"peers: {text}", file=sys.stderr, flush=True)


def main() -> int:
    arguments = parse_arguments()
    data, environments = Path(os.environ["STS_DATA_DIR"]), Path(os.environ["BENCH_ENVIRONMENTS"])
    program = Path(os.environ["KO_STS_BIN"]) / "serve"
    RESULTS.mkdir(parents=True, exist_ok=True)
    results = RESULTS / f"peers-{arguments.shape}.jsonl"
    if arguments.fresh:
        results.unlink(missing_ok=True)
    model = checkpoint(arguments.shape, data, environments)
    work, servers = pairs(data), {}
    say(f"{len(work)} pairs; waiting for the servers; load average {os.getloadavg()[0]:.1f}")
    try:
        for name in arguments.sides:
            log = RESULTS / f"{name.replace(' ', '-')}.log"
            servers[name] = sides.start(SIDES[name], model, program, environments, log)
        for server in servers.values():
            server.wait_until_ready()
        time.sleep(1)
        agreement(servers, work[:CHECKED])
        rounds(arguments, servers, work[CHECKED:], results)
    except Failed as error:
        print(f"peers: error: {error}", file=sys.stderr)
        return 1
    finally:
        for server in servers.values():
            server.stop()
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())

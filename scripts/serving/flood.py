"""More than the server takes: it stays within its memory, and answers pairs and /health meanwhile.

    scripts/serving/run.sh flood [--model DIR] [--clients 2000] [--rows 1000000] [-- options of serve]

First, clients that each send a body of 4 MiB and read nothing. Then 8 files whose answers are read a byte a second; with
`--corpus DIR` among the options, 32 searches at a time beside them. Loopback only, each part bounded.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import urlencode

import abuse
from server import HOST, Failed, Server, get, post, serve
from traffic import form

ROOT = Path(__file__).resolve().parents[2]
LOG = ROOT / "target" / "serving" / "flood.log"
PAIR = "/predict?" + urlencode({"sentence1": "비가 온다.", "sentence2": "비가 내린다."})
BODY = 4 << 20
ABOVE_MODEL = 600 << 20  # bytes that the server may take beside its model
PAIR_S, HEALTH_S = 1.0, 0.010
SEARCHES, FILES = 32, 8
PART_S = 20  # how long each part is watched


class Watched:
    """Times of requests that are sent again and again while something else goes on, by a process of its own: the threads here
    keep each other waiting."""

    def __init__(self, server: Server, path: str, pause: float):
        own, other = multiprocessing.Pipe()
        self.connection = own
        self.process = multiprocessing.Process(target=watch, args=(server.port, path, pause, other), daemon=True)
        self.process.start()
        self.times: list[float] = []
        self.problems: list[str] = []

    def stop(self) -> None:
        self.connection.send("stop")
        self.times, self.problems = self.connection.recv()
        self.process.join()

    def share(self, part: float) -> float:
        return sorted(self.times)[min(len(self.times) - 1, int(part * len(self.times)))]


def watch(port: int, path: str, pause: float, connection: Connection) -> None:
    with contextlib.suppress(OSError):
        os.nice(-10)  # where it may: what is measured is the server, not how long a client waits for a core beside it
    times, problems = [], []
    while not connection.poll(pause):
        start = time.monotonic()
        try:
            status, _ = get(port, path, timeout=30)
        except OSError as error:
            problems.append(str(error))
            continue
        times.append(time.monotonic() - start)
        if status != 200:
            problems.append(f"status {status}")
    connection.send((times, problems))


def listless(port: int, end: float) -> None:
    """Sends a body and reads nothing of the answer."""
    sentences = json.dumps({"inputs": ["a" * 4000] * 1000}).encode()
    body = sentences + b" " * (BODY - len(sentences))
    head = "POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    try:
        with socket.create_connection((HOST, port), timeout=max(1.0, end - time.monotonic())) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(f"{head}Content-Length: {BODY}\r\n\r\n".encode() + body)
            time.sleep(max(0.0, end - time.monotonic()))
    except OSError:
        pass  # refused, or given up: the server's choice


def slow_reader(port: int, body: bytes, started: threading.Semaphore, end: float) -> None:
    """Sends a file and reads its answer a byte a second."""
    head = abuse.head_of_form(len(body))
    try:
        with socket.create_connection((HOST, port), timeout=max(1.0, end - time.monotonic())) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(head + body)
            if connection.recv(1):
                started.release()
            while time.monotonic() < end and connection.recv(1):
                time.sleep(1)
    except OSError:
        pass  # given up


def searcher(port: int, end: float, answered: list[int]) -> None:
    number = 0
    while time.monotonic() < end:
        number += 1
        try:
            status, _ = post(port, "/search", {"query": f"비가 {number}번 온다.", "top_k": 10})
        except OSError:
            continue
        answered.append(status)


def together(workers: list[Callable[[], None]]) -> list[threading.Thread]:
    threading.stack_size(256 << 10)
    threads = [threading.Thread(target=work, daemon=True) for work in workers]
    for thread in threads:
        thread.start()
    return threads


def peak(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


class Checks:
    def __init__(self) -> None:
        self.passed = self.failed = 0

    def __call__(self, good: bool, claim: str) -> None:
        print(f"{'ok    ' if good else 'FAILED'}  {claim}", flush=True)
        self.passed, self.failed = self.passed + good, self.failed + (not good)


def pairs(check: Checks, watched: Watched, beside: str) -> None:
    watched.stop()
    worst, refused = (max(watched.times), len(watched.problems)) if watched.times else (float("inf"), 0)
    said = f"{len(watched.times)} pairs beside {beside}: at most {worst:.3f} s, median {watched.share(0.5):.3f} s"
    check(worst < PAIR_S and not refused and len(watched.times) > 10, f"{said}, {refused} refused {watched.problems[:1]}")


def memory(check: Checks, server: Server, model: int, beside: str) -> None:
    most = peak(server)
    said = f"memory beside {beside}: {most / 2**20:.0f} MiB at most, {model / 2**20:.0f} MiB with the model alone"
    check(most < model + ABOVE_MODEL, said)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/serving/run.sh flood", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "checkpoints" / "ko-sts-small")
    parser.add_argument("--clients", type=int, default=2_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("options", nargs="*", help="of serve, after --")
    arguments = parser.parse_args()
    abuse.allow_files(2 * arguments.clients + 1_000)
    check = Checks()
    lines = "".join(f"{row % 500}번째 문장\n" for row in range(arguments.rows))
    file = form("3번째 문장", lines, arguments.rows)  # every row, best first
    searches = "--corpus" in arguments.options
    try:
        with serve("serve", ["--model", arguments.model, *arguments.options], LOG) as server:
            get(server.port, PAIR)
            model = server.memory()
            end = time.monotonic() + PART_S
            watched = Watched(server, PAIR, 0.05)
            threads = together([lambda: listless(server.port, end)] * arguments.clients)
            time.sleep(PART_S)
            pairs(check, watched, f"{arguments.clients:,} clients that send 4 MiB and read nothing")
            for thread in threads:
                thread.join(10)
            memory(check, server, model, f"{arguments.clients:,} such clients")

            started, answered = threading.Semaphore(0), []
            end = time.monotonic() + 600
            together([lambda: slow_reader(server.port, file, started, end)] * FILES)
            watched, health = Watched(server, PAIR, 0.05), Watched(server, "/health", 0.01)
            for _ in range(FILES):
                started.acquire(timeout=120)
            if searches:
                together([lambda: searcher(server.port, time.monotonic() + PART_S, answered)] * SEARCHES)
            time.sleep(PART_S)
            beside = f"{FILES} files of {arguments.rows:,} rows, read a byte a second"
            beside += f", and {SEARCHES} searches at a time" if searches else ""
            pairs(check, watched, beside)
            memory(check, server, model, beside)
            health.stop()
            said = f"/health beside them, {len(health.times)} times: 99 of 100 within {health.share(0.99) * 1e3:.1f} ms, "
            said += f"median {health.share(0.5) * 1e3:.1f} ms, at most {max(health.times) * 1e3:.1f} ms"
            check(health.share(0.99) < HEALTH_S and not health.problems, said)
            if searches:
                check(len(answered) > SEARCHES, f"{answered.count(200)} searches answered, {len(answered)} asked")
    except (Failed, OSError) as error:
        print(f"flood: error: {error}", file=sys.stderr)
        return 1
    print(f"{check.passed} passed, {check.failed} failed")
    return int(check.failed > 0)


if __name__ == "__main__":
    sys.exit(main())

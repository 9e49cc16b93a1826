"""Bad input and bad manners: each must end in a status of 4xx or a closed connection, and the server go on.

    scripts/serving/run.sh hostile [--model DIR] [--connections 10000] [-- options of serve]

With `--corpus DIR` among the options, `/search` is attacked too.
After each case, a pair is asked for and must get the answer that it got before. Loopback only, each case bounded.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import abuse
from server import Failed, Server, get, serve
from traffic import form

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "bench"))
from checkpoints import checkpoint  # noqa: E402

LOG = ROOT / "target" / "serving" / "hostile.log"
PAIR = "/predict?" + urlencode({"sentence1": "비가 온다.", "sentence2": "비가 내린다."})
# Short, so that the slow cases end: what is under test is that they end.
TIMEOUTS = {"header-timeout": 5, "keep-alive": 5, "body-timeout": 10, "upload-timeout": 10, "request-timeout": 20}
LARGE = "가" * 350_000  # 1 MB of UTF-8

PANIC = "panic: "  # what the log says of one
JSON_ROUTES = ["/embed", "/similarity", "/v1/embeddings", "/"]
REFUSED = range(400, 500)
Case = tuple[str, object]


def json_cases() -> list[Case]:
    bodies = {
        "broken JSON": b'{"inputs": "a"',
        "no JSON": b"\x00\x01\x02",
        "an empty body": b"",
        "a number as input": b'{"inputs": 3, "input": 3}',
        "null as input": b'{"inputs": null, "input": null}',
        "a list of numbers in a list": b'{"inputs": [[{}]], "input": [[{}]]}',
        "no input": b"{}",
        "an empty list": b'{"inputs": [], "input": []}',
        "a string that is empty": b'{"inputs": "", "input": ""}',
        "a lone surrogate": b'{"inputs": "\\ud800", "input": "\\ud800"}',
        "UTF-8 that is none": b'{"inputs": "\xff\xfe", "input": "\xff\xfe"}',
        "100,000 brackets": b'{"inputs": ' + b"[" * 100_000,
        "a number without end": b'{"inputs": "a", "truncate": ' + b"9" * 5_000 + b"}",
        "a sentence of 1 MB": json.dumps({"inputs": LARGE, "input": LARGE}, ensure_ascii=False).encode(),
        "a body of 5 MB": b'{"inputs": "' + b"a" * 5_000_000 + b'"}',
    }
    may_pass = {"a sentence of 1 MB"}  # cut, and said to be
    cases = [
        (f"{route}: {name}", abuse.request("POST", route, body, "application/json", may_pass=name in may_pass))
        for route in JSON_ROUTES
        for name, body in bodies.items()
    ]
    valid = b'{"inputs": "a", "input": "a"}'
    cases += [
        (f"{route}: wrong content type", abuse.request("POST", route, valid, "text/plain")) for route in JSON_ROUTES
    ]
    cases += [(f"DELETE {route}", abuse.request("DELETE", route)) for route in [*JSON_ROUTES[:3], "/predict", "/info"]]
    cases += [
        (f"{route}: {name}", abuse.request("POST", route, body, "application/json"))
        for route, name, body in (
            ("/v1/embeddings", "dimensions that do not fit", b'{"input": "a", "dimensions": 7}'),
            ("/v1/embeddings", "an encoding that is none", b'{"input": "a", "encoding_format": "x"}'),
            ("/similarity", "sentences without a source", b'{"inputs": {"sentences": ["a"]}}'),
        )
    ]
    return cases


def search_cases() -> list[Case]:
    bodies = {
        "broken JSON": b'{"query": "a"',
        "no query": b"{}",
        "a number as query": b'{"query": 3}',
        "an empty query": b'{"query": ""}',
        "a lone surrogate": b'{"query": "\\ud800"}',
        "a query of 1 MB": json.dumps({"query": LARGE}, ensure_ascii=False).encode(),
        "top_k 0": b'{"query": "a", "top_k": 0}',
        "top_k -1": b'{"query": "a", "top_k": -1}',
        "top_k of 30 digits": b'{"query": "a", "top_k": ' + b"9" * 30 + b"}",
        "a filter that is a list": b'{"query": "a", "filter": ["a"]}',
        "a filter on no column": b'{"query": "a", "filter": {"no such column": "a"}}',
        "100,000 brackets in a filter": b'{"query": "a", "filter": {"text": ' + b"[" * 100_000,
        "a filter of 5,000 columns": json.dumps({"query": "a", "filter": {str(n): n for n in range(5_000)}}).encode(),
        "an unknown key": b'{"query": "a", "colour": "red"}',
    }
    may_pass = {"a query of 1 MB"}  # cut, and said to be
    return [
        (f"/search: {name}", abuse.request("POST", "/search", body, "application/json", may_pass=name in may_pass))
        for name, body in bodies.items()
    ]


def query_cases() -> list[Case]:
    targets = {
        "no sentence": "/predict",
        "one sentence": "/predict?sentence1=a",
        "empty sentences": "/predict?sentence1=&sentence2=",
        "blank sentences": "/predict?sentence1=%20&sentence2=%0a",
        "UTF-8 that is none": "/predict?sentence1=%ff%fe&sentence2=a",
        "a lone surrogate": "/predict?sentence1=%ed%a0%80&sentence2=a",
        "an escape that is none": "/predict?sentence1=%zz&sentence2=a",  # may be taken as text
        "a sentence of 1 MB": f"/predict?sentence1={'a' * 1_000_000}&sentence2=a",
    }
    taken = {"an escape that is none"}
    cases = [
        (f"GET /predict: {name}", abuse.request("GET", target, may_pass=name in taken))
        for name, target in targets.items()
    ]
    nul = "/predict?sentence1=a%00b&sentence2=a"
    cases += [("GET /predict: a NUL byte", abuse.request("GET", nul, may_pass=True))]
    paths = [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/docs/../../etc/passwd",
        "/docs/%2e%2e%2f%2e%2e%2fCargo.toml",
        "/style.css%00.html",
        "/app.js/../../Cargo.toml",
        "/\\..\\..\\etc\\passwd",
    ]
    return cases + [(f"path {path}", abuse.request("GET", path, must_lack=b"root:")) for path in paths]


def form_cases() -> list[Case]:
    table = "문장\n비가 내린다.\n"
    whole = form("비가 온다.", table, 0)
    rows = {
        "a zip": b"PK\x03\x04" + os.urandom(20_000),
        "an empty file": "",
        "a header alone": "문장\n",
        "a bomb of quotes": '"' * 1_000_001,
        "a quote that is never closed": '문장\n"' + "가\n" * 300_000,
        "NUL bytes": "문장\n" + "\0" * 10_000,
        "one row of 1 MB": f"문장\n{LARGE}\n",
        "100,000 commas": "가," * 100_000 + "나\n",
    }
    # Text, cut where it is long; or no rows, and so no scores.
    may_pass = {"NUL bytes", "one row of 1 MB", "100,000 commas", "a header alone", "an empty file"}
    # Quotes that enclose nothing are text, as a spreadsheet's user who types one means it.
    may_pass |= {"a bomb of quotes", "a quote that is never closed"}
    cases = [
        (f"POST /predict: {name}", abuse.form_request(form("비가 온다.", text, 0), may_pass=name in may_pass))
        for name, text in rows.items()
    ]
    bodies = {
        "truncated multipart": whole[: len(whole) // 2],
        "no end of the multipart": whole[:-10],
        "a column that is not there": abuse.with_field(whole, "column", "없는 열"),
        "column 99": abuse.with_field(whole, "column", "99"),
        "top_k -1": abuse.with_field(whole, "top_k", "-1"),
        "top_k 0": abuse.with_field(whole, "top_k", "0"),
        "top_k of 30 digits": abuse.with_field(whole, "top_k", "9" * 30),
        "two base sentences": abuse.with_field(whole, "base_sentence", "또"),
        "no file": abuse.without_file(whole),
        "an empty base sentence": form("", table, 0),
        "a base sentence of 1 MB": form(LARGE, table, 0),
        "a field that is none of its own": abuse.with_field(whole, "colour", "red"),
        "5,000 fields": abuse.with_fields(whole, 5_000),
    }
    may_pass |= {"a base sentence of 1 MB"}
    cases += [
        (f"POST /predict: {name}", abuse.form_request(body, may_pass=name in may_pass)) for name, body in bodies.items()
    ]
    types = {
        "another boundary": "multipart/form-data; boundary=other",
        "no boundary": "multipart/form-data",
        "a form that says it is JSON": "application/json",
        "a form without a type": "",
    }
    cases += [
        (f"POST /predict: {name}", abuse.request("POST", "/predict", whole, type_)) for name, type_ in types.items()
    ]
    return cases


def manners(connections: int) -> list[Case]:
    embed = b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    health = b"GET /health HTTP/1.1\r\nHost: x\r\n"
    return [
        ("headers of 1 MB", abuse.raw(health + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n")),
        ("100,000 headers", abuse.raw(health + b"A: b\r\n" * 100_000 + b"\r\n")),
        ("no HTTP", abuse.raw(os.urandom(5_000) + b"\r\n\r\n")),
        (
            "TLS where there is none",
            abuse.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500) + b"\r\n\r\n"),
        ),
        ("a body shorter than promised", abuse.raw(embed + b"Content-Length: 100\r\n\r\n{}")),
        ("a negative length", abuse.raw(embed + b"Content-Length: -1\r\n\r\n{}")),
        ("two lengths", abuse.raw(embed + b"Content-Length: 2\r\nContent-Length: 30\r\n\r\n{}")),
        ("a chunk that is none", abuse.raw(embed + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")),
        ("a slow header", abuse.slow(health + b"X: ", b"a")),
        ("a slow body", abuse.slow(embed + b"Content-Length: 100000\r\n\r\n{", b" ")),
        ("a slow file", abuse.slow(abuse.head_of_form(100_000) + form("비가 온다.", "문장\n", 0)[:-30], b"a")),
        ("200 slow bodies at once", abuse.many_slow(200)),
        (f"{connections:,} idle connections", abuse.idle(connections)),
    ]


def verdict(outcome: abuse.Outcome) -> bool:
    status = outcome.status
    if outcome.problem:
        return False
    return status is None or status in REFUSED or (outcome.may_pass and status == 200)


def check(server: Server, name: str, case: object, wanted: bytes) -> bool:
    start = time.monotonic()
    outcome = case(server.port)
    seconds = time.monotonic() - start
    good = verdict(outcome)
    if not server.is_alive():
        raise Failed(f"after `{name}` the server is gone: {server.process.returncode}\n{server.tail()}")
    status, answer = get(server.port, PAIR, timeout=30)
    if (status, answer) != (200, wanted):
        good, outcome = False, outcome.but(f"a pair asked for afterwards got {status} {answer[:100]!r}")
    said = outcome.problem or ("closed" if outcome.status is None else str(outcome.status))
    print(
        f"{'ok    ' if good else 'FAILED'}  {name}: {said}, {seconds:.1f} s  {'' if good else outcome.body[:200]}",
        flush=True,
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/serving/run.sh hostile", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="default: the shape `tiny`, random weights")
    parser.add_argument("--connections", type=int, default=10_000, help="that are opened and left idle")
    parser.add_argument("options", nargs="*", help="of serve, after --")
    arguments = parser.parse_args()
    # A server that says it otherwise would pass whatever it does.
    if PANIC.encode() not in (Path(os.environ["KO_STS_BIN"]) / "serve").read_bytes():
        print(f"hostile: error: the server never writes {PANIC!r}: its panics would not be found", file=sys.stderr)
        return 1
    folder, data = Path(os.environ["BENCH_ENVIRONMENTS"]), Path(os.environ["STS_DATA_DIR"])
    model = arguments.model or checkpoint("tiny", data, folder)
    abuse.allow_files(arguments.connections + 1_000)
    cases = [*json_cases(), *query_cases(), *form_cases()]
    if "--corpus" in arguments.options:
        cases += search_cases()
    cases += manners(arguments.connections)
    try:
        limits = [word for name, seconds in TIMEOUTS.items() for word in (f"--{name}", str(seconds))]
        with serve("serve", ["--model", model, *limits, *arguments.options], LOG) as server:
            status, wanted = get(server.port, PAIR)
            if status != 200:
                raise Failed(f"a pair got {status}: {wanted!r}")
            passed = sum(check(server, name, case, wanted) for name, case in cases)
            print(f"memory at the end: {server.memory() / 2**20:.0f} MiB")
            ended = server.stop()
    except (Failed, OSError) as error:
        print(f"hostile: error: {error}", file=sys.stderr)
        return 1
    panics = LOG.read_text(encoding="utf-8", errors="replace").count(PANIC)
    print(f"exit status on SIGTERM: {ended}; panics in the log: {panics}")
    print(f"{passed} passed, {len(cases) - passed} failed")
    return 0 if passed == len(cases) and ended == 0 and panics == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

"""Exact search over a million embeddings of 768 numbers: this project's in its three formats, numpy and faiss, in turn.

    cargo build --release --bins --examples
    python=$(scripts/scale/setup.sh)
    "$python" scripts/scale/search.py

The vectors are drawn around a few thousand centres, so that a query has near neighbours as texts have them. All find the
same ten rows, or others that are as near to 1e-6, or it is an error. Needs 10 GB of disk and 8 GB of memory.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOP = 10
CENTRES = 4000
PART = 65_536


def vectors(rows, width):
    """Rows of length 1, part by part."""
    random = np.random.default_rng(7)
    centres = random.standard_normal((CENTRES, width), dtype=np.float32)
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        drawn = centres[random.integers(CENTRES, size=count)] + random.standard_normal((count, width), dtype=np.float32)
        yield drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def write_corpus(folder, rows, width):
    """The corpus as `embed` would have written it, and the same vectors as numpy has them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    settings = {
        "model": "none", "model_sha256": "", "dimensions": width, "precision": "f32", "max_seq_length": 128,
        "columns": {"embedding": {"text": "text", "name": "embedding", "dtype": "f32"}},
        "rows_per_part": PART, "inputs": [],
    }  # fmt: skip
    (folder / "_embed.json").write_text(json.dumps(settings))
    (folder / "_parts.json").write_text(json.dumps([-(-rows // PART)]))
    whole = np.lib.format.open_memmap(folder / "_all.npy", mode="w+", dtype=np.float32, shape=(rows, width))
    start = 0
    for number, part in enumerate(vectors(rows, width)):
        whole[start : start + len(part)] = part
        lists = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), width)
        texts = pa.array([f"문장 {row}" for row in range(start, start + len(part))])
        path = folder / f"part-00000-{number:05}.parquet"
        table = pa.table({"text": texts, "embedding": lists})
        pq.write_table(table, path, compression="none", use_dictionary=False, row_group_size=16_384)
        start += len(part)
    whole.flush()


def timed(search, queries):
    """Median and 95th percentile in ms, and what was found."""
    for query in queries[:3]:
        search(query)
    times, found = [], []
    for query in queries:
        start = time.perf_counter()
        found.append(search(query))
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.percentile(times, 50)), float(np.percentile(times, 95)), found


def by_numpy(folder, queries):
    rows = np.load(folder / "_all.npy")

    def search(query):
        scores = rows @ query
        best = np.argpartition(scores, -TOP)[-TOP:]
        return best[np.argsort(-scores[best], kind="stable")].tolist()

    return timed(search, queries)


def by_faiss(folder, queries, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    rows = np.load(folder / "_all.npy", mmap_mode="r")
    index = faiss.IndexFlatIP(rows.shape[1])
    for start in range(0, len(rows), PART):
        index.add(np.ascontiguousarray(rows[start : start + PART]))
    return timed(lambda query: index.search(query[None], TOP)[1][0].tolist(), queries)


def by_us(folder, queries, precision, threads, program):
    path = folder / "_queries.f32"
    queries.astype("<f4").tofile(path)
    command = [program, "--corpus", folder, "--queries", path, "--format", precision]
    command += ["--top-k", str(TOP), "--threads", str(threads)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answer["p50_ms"], answer["p95_ms"], answer["found"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", default="numpy,faiss,f32,bf16,int8", help="which of them, numpy first")
    parser.add_argument("--program", default=ROOT / "target/release/examples/search")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_corpus(folder, arguments.rows, arguments.width)
        rows = np.load(folder / "_all.npy", mmap_mode="r")
        places = np.random.default_rng(1).integers(len(rows), size=arguments.queries)
        noise = np.random.default_rng(2).standard_normal((len(places), rows.shape[1]), dtype=np.float32)
        queries = np.array(rows[places]) + noise / rows.shape[1] ** 0.5 / 2
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        threads = arguments.threads
        sides = {
            "numpy": lambda: by_numpy(folder, queries),
            "faiss": lambda: by_faiss(folder, queries, threads),
            **{
                name: lambda name=name: by_us(folder, queries, name, threads, arguments.program)
                for name in ("f32", "bf16", "int8")
            },
        }
        titles = {"numpy": "numpy f32", "faiss": "faiss IndexFlatIP f32"}
        sides = {titles.get(name, f"ko-sts {name}"): sides[name] for name in arguments.sides.split(",")}
        times = {name: [] for name in sides}
        expected = None
        for round in range(arguments.rounds):
            for name, side in sides.items():
                p50, p95, found = side()
                times[name].append((p50, p95))
                print(f"round {round + 1}: {name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms", file=sys.stderr, flush=True)
                # Rows that are equally near to the last digits may change places.
                scores = [np.sort(rows[np.sort(one)].astype(np.float64) @ query) for one, query in zip(found, queries)]
                expected = scores if expected is None else expected
                if max(np.abs(one - other).max() for one, other in zip(scores, expected)) > 1e-6:
                    sys.exit(f"error: {name} found other rows than {next(iter(sides))}")
        print(f"{arguments.rows:,} × {arguments.width}, top {TOP}, {threads} threads, {len(queries)} queries,", end=" ")
        print(f"{arguments.rounds} rounds in turn; all found rows as near, to 1e-6\n")
        print("| search | p50 ms, median of rounds | least–most | p95 ms |\n|---|---|---|---|")
        for name, rounds in times.items():
            medians = sorted(p50 for p50, _ in rounds)
            p95 = sorted(p95 for _, p95 in rounds)[len(rounds) // 2]
            print(f"| {name} | {medians[len(medians) // 2]:.1f} | {medians[0]:.1f}–{medians[-1]:.1f} | {p95:.1f} |")


if __name__ == "__main__":
    main()

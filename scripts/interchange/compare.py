"""Encodes every model of the matrix with the workspace, and prints the table.

    "$python" scripts/interchange/compare.py --encoder target/release/examples/encode [--check NAME=CHECKPOINT …] ROWS.json …

Exits with 1 if a row is beyond 1e-5 in cosine or 1e-4 per element, relative to the embedding's norm; if a model that
has to be refused is not, in one line that names what is not supported; or if a check of --check fails.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from check_tei import CHECKS, failed_checks
from rows import OURS, Row, layout, load_rows

COSINE_TOLERANCE, ELEMENT_TOLERANCE = 1e-5, 1e-4
HEADER = ("written by", "what", "layout", "read by", "max |1-cos|", "max element", "verdict")

Cells = tuple[str, ...]


def encode(encoder: Path, model: str, sentences: Path, output: Path) -> subprocess.CompletedProcess[str]:
    command = [encoder, "--device", "cpu", "--model", model, "--input", sentences, "--output", output]
    # A backtrace is for whoever looks for a defect; users see one line.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RUST_")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def differences(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Largest 1 - cosine, and largest element's error relative to its embedding's norm."""
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    # A text without a token that a static embedding has, has the embedding zero, and no direction.
    if np.array_equal(ours.any(axis=1), theirs.any(axis=1)):
        ours, theirs = ours[theirs.any(axis=1)], theirs[theirs.any(axis=1)]
    norms = np.linalg.norm(theirs, axis=1)
    cosine = np.abs(1 - (ours * theirs).sum(axis=1) / (np.linalg.norm(ours, axis=1) * norms)).max()
    return float(cosine), float((np.abs(ours - theirs).max(axis=1) / norms).max())


def one_line(message: str) -> str:
    return " ".join(message.split())


@cache
def embeddings(encoder: Path, model: str, sentences: str) -> np.ndarray | str:
    """(sentences, hidden), or what the encoder complained of; `sentences` is the text itself."""
    with tempfile.TemporaryDirectory() as folder:
        text, output = Path(folder, "sentences.txt"), Path(folder, "embeddings.safetensors")
        text.write_text(sentences, encoding="utf-8")
        run = encode(encoder, model, text, output)
        return load_file(output)["embeddings"] if run.returncode == 0 else one_line(run.stderr)


def compared(row: Row, encoder: Path) -> tuple[Cells, bool]:
    ours = embeddings(encoder, row.model, Path(row.sentences).read_text(encoding="utf-8"))
    if isinstance(ours, str):
        return ("-", "-", f"FAILED: {ours}"), False
    theirs = load_file(row.vectors)["embeddings"]
    if ours.shape != theirs.shape:
        return ("-", "-", f"FAILED: {ours.shape} against {theirs.shape}"), False
    cosine, element = differences(ours, theirs)
    good = cosine <= COSINE_TOLERANCE and element <= ELEMENT_TOLERANCE  # not `>`: NaN must fail
    return (f"{cosine:.1e}", f"{element:.1e}", "same" if good else "DIFFERENT"), good


def refused(row: Row, encoder: Path) -> tuple[Cells, bool]:
    with tempfile.TemporaryDirectory() as folder:
        text, output = Path(folder, "sentences.txt"), Path(folder, "embeddings.safetensors")
        text.write_text("네\n", encoding="utf-8")
        run = encode(encoder, row.model, text, output)
        written = output.exists()
    if run.returncode == 0:
        return ("-", "-", "ACCEPTED"), False
    # The message without the directory, whose name tells too.
    message = run.stderr.replace(row.model, "")
    good = run.returncode == 1 and len(run.stderr.splitlines()) == 1 and row.refused in message and not written
    return ("-", "-", "refused" if good else f"REFUSED BADLY: {one_line(run.stderr)}"), good


def judged(row: Row, encoder: Path) -> tuple[Cells, bool]:
    if row.failed:
        cells, good = ("-", "-", f"FAILED: {one_line(row.failed)}"), False
    elif row.refused:
        cells, good = refused(row, encoder)
    else:
        cells, good = compared(row, encoder)
    return (row.writer, row.what, layout(Path(row.model)), row.reader, *cells), good


def checked(name: str, checkpoint: Path) -> tuple[Cells, bool]:
    failed = failed_checks(checkpoint)
    verdict = f"FAILED: {', '.join(failed)}" if failed else f"{len(CHECKS)} checks"
    cells = (f"{OURS} train", name, layout(checkpoint), "text-embeddings-inference's needs", "-", "-", verdict)
    return cells, not failed


def table(rows: list[Cells]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", type=Path, required=True, help="a build of the example `encode`")
    parser.add_argument("--check", action="append", default=[], metavar="NAME=CHECKPOINT")
    parser.add_argument("rows", nargs="+", type=Path)
    arguments = parser.parse_args()

    rows = [row for path in arguments.rows for row in load_rows(path)]
    results = [judged(row, arguments.encoder.resolve()) for row in rows]
    for check in arguments.check:
        name, _, checkpoint = check.partition("=")
        results.append(checked(name, Path(checkpoint)))
    print(table([HEADER, *(cells for cells, _ in results)]))
    bad = sum(not good for _, good in results)
    print(f"\n{len(results) - bad} rows as they should be, {bad} not")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

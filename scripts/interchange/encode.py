"""Encodes with this environment's sentence-transformers what `train` wrote, and published models.

    PYTHONPATH=scripts/reference "$python" scripts/interchange/encode.py DIR MINILM E5 [NAME=CHECKPOINT …]

Writes the embeddings below DIR, and DIR/rows.json.
"""

import argparse
from pathlib import Path

import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer

from rows import OURS, Row, quiet, save_rows, save_vectors, scores
from texts import KOREAN, LOWERED, english

ST = f"sentence-transformers {sentence_transformers.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("minilm", help="directory of all-MiniLM-L6-v2")
    parser.add_argument("e5", help="directory of multilingual-e5-small")
    parser.add_argument("checkpoints", nargs="*", metavar="NAME=CHECKPOINT")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quiet()
    arguments.folder.mkdir(parents=True)

    models = [
        ("published", f"all-MiniLM-L6-v2, {len(english())} sentences", f"{OURS}, {ST}", arguments.minilm, english()),
    ]
    if ST.split()[1] >= "6":  # in whose layout its script saves it
        models.append(("published", f"multilingual-e5-small, {len(KOREAN)} sentences", f"{OURS}, {ST}", arguments.e5, KOREAN))
    for checkpoint in arguments.checkpoints:
        name, _, path = checkpoint.partition("=")
        models.append((f"{OURS} train", name, ST, path, LOWERED if "lower" in name else KOREAN))
    rows = []
    for index, (writer, what, reader, path, texts) in enumerate(models):
        try:
            if "cross-encoder" in what:
                vectors = scores(path, texts)
            else:
                vectors = SentenceTransformer(path, device="cpu").encode(texts, convert_to_tensor=True)
        except Exception as error:  # whatever it is, it belongs into the table
            rows.append(Row(writer, what, reader, path, failed=f"{type(error).__name__}: {error}"))
        else:
            saved = save_vectors(arguments.folder / str(index), texts, vectors)
            rows.append(Row(writer, what, reader, path, **saved))
    save_rows(arguments.folder / "rows.json", rows)


if __name__ == "__main__":
    main()

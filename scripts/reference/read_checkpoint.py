"""Shows that sentence-transformers loads a checkpoint of `train` and encodes to the same vectors.

    "$python" scripts/reference/read_checkpoint.py checkpoints/quickstart/best

Needs a release build of the example `encode` (cargo build --release -p model --example encode); exits with 1 beyond a
cosine of 1e-5 or an element of 1e-4 of the norm.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer

from sentences import EMBEDDED

ROOT = Path(__file__).resolve().parents[2]


def ours(checkpoint: Path, sentences: list[str]) -> np.ndarray:
    """Embeddings by the workspace: (sentences, hidden)."""
    with tempfile.TemporaryDirectory() as folder:
        text, output = Path(folder, "sentences.txt"), Path(folder, "embeddings.safetensors")
        text.write_text("\n".join(sentences) + "\n", encoding="utf-8")
        encode = ROOT / "target/release/examples/encode"
        subprocess.run([encode, "--model", checkpoint, "--input", text, "--output", output], check=True)
        return load_file(output)["embeddings"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    checkpoint = parser.parse_args().checkpoint
    sentences = [sentence for sentence in EMBEDDED if "\n" not in sentence]
    found, expected = ours(checkpoint, sentences), SentenceTransformer(str(checkpoint), device="cpu").encode(sentences)
    norms = np.linalg.norm(expected, axis=1)
    cosine = np.abs(1 - (found * expected).sum(axis=1) / (np.linalg.norm(found, axis=1) * norms)).max()
    element = (np.abs(found - expected).max(axis=1) / norms).max()
    print(f"{len(sentences)} sentences: cosine off by {cosine:.1e}, elements by {element:.1e} of the norm")
    sys.exit(1 if cosine > 1e-5 or element > 1e-4 else 0)


if __name__ == "__main__":
    main()

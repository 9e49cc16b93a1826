"""Compares our encoder with transformers at full size: random weights in the shapes of klue/roberta.

    python=$(scripts/reference/setup.sh)
    "$python" scripts/reference/full_size.py [base] [large] [--sentences 200] [--data-dir DIR] [--device cpu]

On a GPU host without Rust, name a binary that was built elsewhere; it runs on the libtorch of this Python's torch:

    python3 full_size.py large --device cuda:0 --encoder target/release/examples/encode --data-dir DIR

Prints how far the embeddings of KorSTS test sentences are apart and what each side took; fails where f32 is beyond
1e-5 in cosine or 1e-4 per element, relative to the embedding's norm. The weights (0.4 GB and 1.3 GB) are made once
and stay in the cache folder, in the layout of the published checkpoints.
"""

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cosine_similarity
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM, RobertaModel
from transformers.utils import logging

from tiny_models import pooled

ROOT = Path(__file__).resolve().parents[2]
SHAPES = ["base", "large"]
PRECISIONS = ["f32", "bf16"]
MAX_SEQ_LENGTH = 128
BATCH_SIZE = 32
COSINE_TOLERANCE, ELEMENT_TOLERANCE = 1e-5, 1e-4


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("KO_STS_CACHE") or Path(base) / "ko-sts")


def checkpoint(shape: str, data: Path) -> Path:
    """A directory like the hub's klue/roberta-{shape}, with random weights."""
    directory = cache() / "full-size" / f"klue-roberta-{shape}"
    if directory.exists():
        return directory
    unfinished = directory.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    torch.manual_seed(0)
    config = RobertaConfig.from_json_file(data / "klue-roberta" / f"config-{shape}.json")
    RobertaForMaskedLM(config).save_pretrained(unfinished)
    shutil.copyfile(data / "klue-roberta" / "tokenizer.json", unfinished / "tokenizer.json")
    unfinished.rename(directory)
    return directory


def kor_sts_sentences(data: Path, number: int) -> list[str]:
    """The first distinct sentences of the test split; a quote is text there."""
    with open(data / "kor-sts" / "sts-test.tsv", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        texts = [row[column] for row in rows for column in ("sentence1", "sentence2")]
    return list(dict.fromkeys(texts))[:number]


@torch.inference_mode()
def encode_reference(directory: Path, texts: list[str], device: str) -> tuple[Tensor, float]:
    """(sentences, hidden) by transformers in f32, and the seconds it took without loading."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(directory / "tokenizer.json"),
        **{f"{name}_token": f"[{name.upper()}]" for name in ("cls", "pad", "sep", "unk", "mask")},
    )
    encoder = RobertaModel.from_pretrained(directory, add_pooling_layer=False, dtype=torch.float32).eval().to(device)
    embeddings = torch.empty(len(texts), encoder.config.hidden_size)
    start = time.perf_counter()
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]), reverse=True)
    for first in range(0, len(order), BATCH_SIZE):
        batch = order[first : first + BATCH_SIZE]
        inputs = tokenizer(
            [texts[index] for index in batch],
            truncation=True,
            max_length=MAX_SEQ_LENGTH,
            padding=True,
            return_tensors="pt",
        ).to(device)
        embeddings[batch] = pooled(encoder(**inputs).last_hidden_state, inputs.attention_mask)["mean"].cpu()
    return embeddings, time.perf_counter() - start


def encode_ours(
    directory: Path, texts: list[str], precision: str, device: str, encoder: Path | None
) -> tuple[Tensor, float]:
    """The same by the `encode` example of the model crate, or by a build of it."""
    with tempfile.TemporaryDirectory() as folder:
        sentences, output = Path(folder, "sentences.txt"), Path(folder, "embeddings.safetensors")
        sentences.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        command = ["cargo", "run", "--release", "-q", "-p", "model", "--example", "encode", "--"]
        environment = dict(os.environ)
        if encoder is not None:
            command = [encoder.resolve()]
            environment["LD_LIBRARY_PATH"] = str(Path(torch.__file__).parent / "lib")
        command += ["--device", device, "--model", directory, "--input", sentences, "--output", output]
        command += ["--precision", precision, "--max-seq-length", str(MAX_SEQ_LENGTH)]
        report = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        return load_file(output)["embeddings"], float(re.search(r"in ([\d.]+) s", report)[1])


def differences(ours: Tensor, reference: Tensor) -> tuple[float, float]:
    """Largest 1 - cosine, and largest element's error relative to its embedding's norm."""
    ours, reference = ours.double(), reference.double()
    cosine = (1 - cosine_similarity(ours, reference)).abs().max().item()
    element = ((ours - reference).abs().amax(1) / reference.norm(dim=1)).max().item()
    return cosine, element


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shapes", nargs="*", metavar="shape", help="base or large; default: both")
    parser.add_argument("--sentences", type=int, default=200, help="how many to encode (default: 200)")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("STS_DATA_DIR"))
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N, for both sides (default: cpu)")
    parser.add_argument("--encoder", type=Path, help="a build of the example `encode` (default: built by cargo)")
    arguments = parser.parse_args()
    if unknown := set(arguments.shapes) - set(SHAPES):
        parser.error(f"unknown shape {', '.join(unknown)}: expected {' or '.join(SHAPES)}")
    if arguments.data_dir is None:
        parser.error("--data-dir or STS_DATA_DIR must name the folder with klue-roberta/ and kor-sts/")

    logging.set_verbosity_error()  # heads that are left out are no news
    logging.disable_progress_bar()
    texts = kor_sts_sentences(arguments.data_dir, arguments.sentences)
    print(f"{'shape':6} {'precision':9} {'max |1-cos|':>12} {'max element':>12} {'seconds':>8} {'transformers':>13}")
    good = True
    for shape in arguments.shapes or SHAPES:
        directory = checkpoint(shape, arguments.data_dir)
        reference, reference_seconds = encode_reference(directory, texts, arguments.device)
        for precision in PRECISIONS:
            ours, seconds = encode_ours(directory, texts, precision, arguments.device, arguments.encoder)
            cosine, element = differences(ours, reference)
            print(f"{shape:6} {precision:9} {cosine:12.1e} {element:12.1e} {seconds:8.2f} {reference_seconds:13.2f}", flush=True)
            # Not `or … > …`: NaN must fail.
            good &= precision != "f32" or (cosine <= COSINE_TOLERANCE and element <= ELEMENT_TOLERANCE)
    if not good:
        print(f"f32 is beyond {COSINE_TOLERANCE:.0e} in cosine or {ELEMENT_TOLERANCE:.0e} per element", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

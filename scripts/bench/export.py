"""Exports a checkpoint for an engine of sentence-transformers, beside the checkpoint; what is there is kept.

    python scripts/bench/export.py {onnx,openvino} DIR
"""

import shutil
import sys
from pathlib import Path

from sentence_transformers import SentenceTransformer

from peer import exported, quantization


def export(engine: str, model: Path, directory: Path) -> None:
    encoder = SentenceTransformer(str(model), device="cpu", backend=engine, model_kwargs={"export": True})
    encoder.save_pretrained(str(directory))
    if engine == "onnx":
        from sentence_transformers.backend import export_dynamic_quantized_onnx_model

        export_dynamic_quantized_onnx_model(encoder, quantization(), str(directory))


def main() -> None:
    engine, model = sys.argv[1], Path(sys.argv[2])
    directory = exported(model, engine)
    if directory.exists():
        return
    unfinished = directory.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    export(engine, model, unfinished)
    unfinished.rename(directory)


if __name__ == "__main__":
    main()

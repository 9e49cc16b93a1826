"""A peer of the encoding benchmark: loads a model once, then times what it is told on standard input, a command a line.

    python scripts/bench/peer.py --engine torch --precision bf16 --model DIR [--device cpu] [--batch-size 32]

The commands and answers are those of crates/model/examples/bench.rs.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

import torch
from safetensors.torch import save_file
from torch import Tensor

Encode = Callable[[list[str]], Tensor]  # of a cross-encoder: the first text with each of the others
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def exported(model: Path, engine: str) -> Path:
    """Where export.py leaves the models of an engine, beside the checkpoint."""
    return model.with_name(f"{model.name}-{engine}")


def quantization() -> str:
    """sentence-transformers' name of the int8 that suits this processor."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    if "avx512_vnni" in flags:
        return "avx512_vnni"
    return "avx512" if "avx512f" in flags else "avx2"


def onnx_file(model: Path, precision: str) -> str:
    if precision == "f32":
        return "onnx/model.onnx"
    (file,) = (exported(model, "onnx") / "onnx").glob(f"model_*int8_{quantization()}.onnx")
    return f"onnx/{file.name}"


@dataclass(frozen=True)
class Setting:
    """What a side is asked for."""

    model: Path
    precision: str
    device: str
    batch_size: int


def sentence_transformers(setting: Setting, backend: str, model: Path, options: dict[str, object]) -> Encode:
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(model), device=setting.device, backend=backend, model_kwargs=options)
    size = setting.batch_size
    return lambda texts: torch.from_numpy(encoder.encode(texts, batch_size=size, show_progress_bar=False))


def cross_encoder(setting: Setting) -> Encode:
    from sentence_transformers import CrossEncoder

    options = {"dtype": DTYPES[setting.precision]}
    encoder = CrossEncoder(str(setting.model), device=setting.device, model_kwargs=options)
    predict = partial(
        encoder.predict, batch_size=setting.batch_size, show_progress_bar=False, activation_fn=torch.nn.Identity()
    )
    return lambda texts: torch.from_numpy(predict([(texts[0], text) for text in texts[1:]]))


def load_torch(setting: Setting) -> Encode:
    if not (setting.model / "modules.json").exists():
        return cross_encoder(setting)
    return sentence_transformers(setting, "torch", setting.model, {"dtype": DTYPES[setting.precision]})


def load_openvino(setting: Setting) -> Encode:
    options = {"file_name": "openvino/openvino_model.xml", "ov_config": {"INFERENCE_PRECISION_HINT": setting.precision}}
    return sentence_transformers(setting, "openvino", exported(setting.model, "openvino"), options)


def load_onnx(setting: Setting) -> Encode:
    options = {"file_name": onnx_file(setting.model, setting.precision), "provider": "CPUExecutionProvider"}
    return sentence_transformers(setting, "onnx", exported(setting.model, "onnx"), options)


def load_transformers(setting: Setting) -> Encode:
    """The same loop without sentence-transformers, for hosts that have none: longest first, mean over tokens."""
    from transformers import AutoTokenizer, RobertaModel

    model, device, size, dtype = setting.model, setting.device, setting.batch_size, DTYPES[setting.precision]
    tokenizer = AutoTokenizer.from_pretrained(model)
    encoder = RobertaModel.from_pretrained(model, add_pooling_layer=False, dtype=dtype, attn_implementation="sdpa")
    encoder.eval().to(device)

    def batch_embeddings(texts: list[str]) -> Tensor:
        inputs = tokenizer(texts, truncation=True, max_length=128, padding=True, return_tensors="pt").to(device)
        hidden = encoder(inputs.input_ids, attention_mask=inputs.attention_mask).last_hidden_state.float()
        mask = inputs.attention_mask.unsqueeze(-1)  # (sentences, tokens, 1)
        return (hidden * mask).sum(1) / mask.sum(1)  # (sentences, hidden)

    @torch.inference_mode()
    def encode(texts: list[str]) -> Tensor:
        order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
        batches = [order[first : first + size] for first in range(0, len(order), size)]
        pooled = torch.cat([batch_embeddings([texts[index] for index in batch]) for batch in batches]).cpu()
        return pooled[torch.tensor(order).argsort()]

    return encode


ENGINES = {"torch": load_torch, "openvino": load_openvino, "onnx": load_onnx, "transformers": load_transformers}


def lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def timed(encode: Encode, texts: list[str]) -> float:
    start = time.perf_counter()
    encode(texts)
    return time.perf_counter() - start


def peak_memory() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def obey(encode: Encode, command: str) -> str:
    match command.split(" "):
        case ["encode" | "rerank", file]:
            return str(timed(encode, lines(file)))
        case ["encode", file, number]:
            texts, size = lines(file), int(number)
            return str(sum(timed(encode, texts[first : first + size]) for first in range(0, len(texts), size)))
        case ["pair", file, times]:
            pair = lines(file)[:2]
            return str(1e3 * statistics.median(timed(encode, pair) for _ in range(int(times))))
        case ["vectors", file, output]:
            save_file({"embeddings": encode(lines(file)).float().contiguous()}, output)
            return "written"
        case ["numbers", file, output]:
            save_file({"numbers": encode(lines(file)).float().contiguous()}, output)
            return "written"
        case ["memory"]:
            return str(peak_memory())
    raise ValueError(f"command `{command}`: expected encode, pair, vectors, rerank, numbers or memory")


def own_stdout() -> TextIO:
    """Standard output for the answers alone: what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def commands() -> Iterator[str]:
    for line in sys.stdin:
        yield line.rstrip("\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--precision", choices=["f32", "bf16", "int8"], default="f32")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=32)  # sentence-transformers' own
    arguments = parser.parse_args()
    answers = own_stdout()
    setting = Setting(arguments.model, arguments.precision, arguments.device, arguments.batch_size)
    encode = ENGINES[arguments.engine](setting)
    print("ready", file=answers, flush=True)
    for command in commands():
        print(obey(encode, command), file=answers, flush=True)


if __name__ == "__main__":
    main()

"""What torch.save writes of state dicts, in each of its forms, and the values that torch.load reads from them.

Small files with the oddities of published checkpoints, files that have to be refused, and one tiny BERT in two forms.
"""

import io
import pickle
import shutil
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.serialization import MAGIC_NUMBER, PROTOCOL_VERSION
from transformers import AutoTokenizer, BertConfig, BertModel

import sentences
from files import float32, write_json
from tiny_models import BERT_SPECIAL, randomize, tokenizer_config, vocabulary


def state() -> "OrderedDict[str, torch.Tensor]":
    """Tensors that lie in their storages in every way, and every type of numbers that weights have."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 4
    own = torch.tensor([1.5, -2.25, 3.0])
    tensors = OrderedDict(
        whole=base,
        tied=base,
        transposed=base.t(),
        rows=base[1:3],
        column=base[:, 2],
        stepped=base[::2, 1::2],
        permuted=base.reshape(2, 3, 4).permute(2, 0, 1),
        expanded=own.expand(4, 3),
        unsqueezed=own.reshape(1, 3).t(),
        scalar=torch.tensor(7.5),
        empty=torch.empty(0, 3),
        double=torch.tensor([[0.1, 0.2]], dtype=torch.float64).t(),
        half=torch.tensor([[0.5, -1.0], [2.0, 4.0]], dtype=torch.float16).t(),
        bfloat16=torch.tensor([[0.5, -1.0], [2.0, 4.0]], dtype=torch.bfloat16).t(),
        integers=torch.arange(6).expand(2, 6),
        bytes=torch.arange(3, dtype=torch.uint8),
        short=torch.tensor([0, 1, 2], dtype=torch.uint16),
        parameter=torch.nn.Parameter(base.t()),
        frozen=torch.nn.Parameter(own, requires_grad=False),
    )
    tensors["marked"] = torch.nn.Parameter(own)
    tensors["marked"].is_marked = True  # goes with it as its state
    tensors._metadata = OrderedDict({"": {"version": 1}, "layer": {"version": 2}})
    return tensors


class Call:
    """Is pickled as a call of a function."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def storage(numbers: torch.Tensor) -> Any:
    return numbers._typed_storage()


def legacy_with_views(numbers: torch.Tensor) -> bytes:
    """As the first versions wrote a tensor in a storage that was part of another: the last three of its five numbers."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if isinstance(value, torch.storage.TypedStorage):
                return ("storage", torch.FloatStorage, "root", "cpu", 5, ("view", 2, 3))
            return None

    file = io.BytesIO()
    sizes = {"short": 2, "int": 4, "long": 4}
    for value in (MAGIC_NUMBER, PROTOCOL_VERSION, {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}):
        pickle.dump(value, file, protocol=2)
    call = Call(torch._utils._rebuild_tensor, storage(numbers), 1, (2,), (1,))
    Pickler(file, protocol=2).dump({"viewed": call})
    pickle.dump(["root"], file, protocol=2)
    file.write(struct.pack("<q", 5) + numbers.numpy().tobytes())
    return file.getvalue()


def save_legacy(path: Path, value: Any, protocol: int = 2) -> None:
    """torch.save as before 1.6. It names and orders storages by their addresses; here by their places in the pickle, so
    that files repeat.
    """
    file = io.BytesIO()
    torch.save(value, file, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    data = file.getvalue()
    numels: dict[str, tuple[int, int]] = {}  # elements and bytes of each, in the order of the pickle

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, identity: tuple) -> Any:
            _, kind, key, _, numel, _ = identity
            numels[key] = (numel, numel * torch.empty(0, dtype=kind.dtype).element_size())
            return torch.empty(numel, dtype=kind.dtype)._typed_storage()

    file.seek(0)
    for _ in range(3):
        pickle.load(file)
    Unpickler(file).load()
    pickles = data[: file.tell()]
    keys = pickle.load(file)
    storages = {}
    for key in keys:
        storages[key] = file.read(8 + numels[key][1])
        assert storages[key][:8] == struct.pack("<q", numels[key][0])
    assert not file.read()
    names = {key: str(index).zfill(len(key)) for index, key in enumerate(numels)}
    for key, name in names.items():
        pickles = pickles.replace(key.encode(), name.encode())
    order = pickle.dumps(list(names.values()), protocol=protocol)
    path.write_bytes(pickles + order + b"".join(storages[key] for key in names))


def values(tensor: torch.Tensor) -> dict:
    return {"shape": list(tensor.shape), "type": str(tensor.dtype).split(".")[1], "values": tensor.double().flatten().tolist()}


def make_files(directory: Path) -> None:
    def save(name: str, value: Any, **options: Any) -> None:
        torch.save(value, directory / name, **options)

    save("archive.bin", state())
    save("archive-protocol-4.bin", state(), pickle_protocol=4)
    old = state()
    del old["short"]  # that form has no room for a type without a class of storages
    save_legacy(directory / "legacy.bin", old)
    save_legacy(directory / "legacy-protocol-4.bin", old, protocol=4)
    expected = {name: values(tensor) for name, tensor in state().items()}
    for path in sorted(directory.glob("*.bin")):
        loaded = torch.load(path, weights_only="protocol-4" not in path.name)  # frames are beyond weights_only
        assert {name: values(tensor) for name, tensor in loaded.items()} == {name: expected[name] for name in loaded}, path

    numbers = torch.arange(5, dtype=torch.float32)
    (directory / "legacy-view.bin").write_bytes(legacy_with_views(numbers))
    viewed = torch.load(directory / "legacy-view.bin", weights_only=True)
    assert viewed["viewed"].tolist() == [3, 4]

    # What has to be refused.
    torch.manual_seed(0)  # for the module
    rebuild = torch._utils._rebuild_tensor_v2
    for name, arguments in {
        "beyond.bin": (0, (2, 3), (100, 1)),
        "beyond-by-offset.bin": (3, (3,), (1,)),
        "beyond-64-bits.bin": (1 << 62, (1 << 40, 1 << 40), (1 << 62, 1)),
    }.items():
        save(name, {"w": Call(rebuild, storage(numbers), *arguments, False, OrderedDict())})
    rows = Call(rebuild, storage(numbers), 0, (1 << 30, 5), (0, 1), False, OrderedDict())
    save("expanded.bin", {"embeddings.word_embeddings.weight": rows})
    beyond = Call(rebuild, storage(numbers), 0, (2, 3), (3, 1), False, OrderedDict())
    save_legacy(directory / "beyond-legacy.bin", {"w": beyond})
    save("nested.bin", {"state_dict": {"w": numbers}, "epoch": 3})
    save("module.bin", torch.nn.Linear(2, 2))
    save("list.bin", [numbers])
    save("quantized.bin", {"w": torch.quantize_per_tensor(numbers, 0.1, 0, torch.qint8)})
    save("sparse.bin", {"w": numbers.to_sparse()})
    with patch("sys.byteorder", "big"):
        save("big-endian.bin", {"w": numbers})
        save_legacy(directory / "big-endian-legacy.bin", {"w": numbers})
    write_json(directory / "expected.json", expected)


@torch.no_grad()
def make_bert(strided: Path, legacy: Path, expected: Path) -> None:
    """As converted from TensorFlow, with the matrices transposed; and as PyTorch 1.5 saved it."""
    vocab = vocabulary(BERT_SPECIAL, size=60, lowercase=True)
    config = BertConfig(
        vocab_size=len(vocab),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=32,
        type_vocab_size=2,
        pad_token_id=0,
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    randomize(model, seed=4)
    weights = model.state_dict()
    for directory, tensors in ((strided, {k: t.t().contiguous().t() if t.dim() == 2 else t for k, t in weights.items()}), (legacy, weights)):
        config.save_pretrained(directory)
        (directory / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
        write_json(directory / "tokenizer_config.json", tokenizer_config(lowercase=True, max_length=32))
        if directory == strided:
            torch.save(tensors, directory / "pytorch_model.bin")
        else:
            save_legacy(directory / "pytorch_model.bin", tensors)
    batch = AutoTokenizer.from_pretrained(legacy)(
        sentences.EMBEDDED[:4], truncation=True, max_length=32, padding=True, return_tensors="pt"
    )
    hidden = model(**batch).last_hidden_state  # (sentences, tokens, hidden)
    mask = batch.attention_mask.unsqueeze(-1).float()
    mean = (hidden * mask).sum(1) / mask.sum(1)
    write_json(expected, {"max_seq_length": 32, "sentences": sentences.EMBEDDED[:4], "mean": float32(mean)})


def make(directory: Path) -> None:
    """`torch-files` and `bert-nano-*` below `directory`."""
    files, strided, legacy = (directory / name for name in ("torch-files", "bert-nano-strided", "bert-nano-legacy"))
    for path in (files, strided, legacy):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    make_files(files)
    make_bert(strided, legacy, directory / "bert-nano.json")

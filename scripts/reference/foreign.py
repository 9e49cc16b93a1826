"""Directories with the oddities of other people's models: token ids of transformers, vectors of sentence-transformers.

A case is a fixture's directory with some of its files replaced or changed, and is stored as these files alone.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

import sentences
from files import float32, write_json

TEXTS = [
    "비가 많이 온다.",
    "Hello KLUE [MASK] 안녕하세요 T",
    "숙소가 <mask>깨끗하고 [WORLD] 직원들이  친절했어요.",
    "漢字 café WORLD [world] <w> 조명",
]
MAX_SEQ_LENGTH = 24


def token(content: str, **flags: bool) -> dict:
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {"content": content, **plain, **flags}


def byte_level() -> dict:
    """A byte-level BPE tokenizer that adds a space in front, as RobertaTokenizer does only where it is told to."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([sentence for group in sentences.GROUPS for sentence in group], trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.add_special_tokens(special)
    return json.loads(tokenizer.to_str())


def unigram() -> dict:
    """A unigram tokenizer with rules that XLMRobertaTokenizer does not keep."""
    characters = sorted({letter for group in sentences.GROUPS[:6] for sentence in group for letter in sentence if letter != " "})
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁비가", -3.0), ("직원", -3.5), ("▁숙소", -3.2)]
    tokenizer = Tokenizer(models.Unigram(pieces + [(letter, -6.0) for letter in characters], unk_id=3))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> <s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    return json.loads(tokenizer.to_str())


def tokenizer_cases(fixtures: Path) -> list[dict]:
    def read(name: str) -> dict:
        return json.loads((fixtures / name).read_text(encoding="utf-8"))

    own = read("roberta-tiny/tokenizer_config.json")
    without = lambda *keys: {key: value for key, value in own.items() if key not in keys}
    named = lambda name: {**own, "tokenizer_class": name}
    file = read("roberta-tiny/tokenizer.json")
    framed = {"tokenizer.json": {"post_processor": {"single": file["post_processor"]["single"][::-1]}}}
    shorter = {"tokenizer.json": {"model": {"max_input_chars_per_word": 2}}}
    bare = {"tokenizer.json": {"added_tokens": []}}
    config, world = "tokenizer_config.json", token("[WORLD]", special=False, normalized=True)
    deberta = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<pad>"}
    deberta |= {"bos_token": "<s>", "eos_token": "</s>"}
    qwen = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    ended = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}},
    }
    bert, roberta, xlm = ({"config.json": {"model_type": name}} for name in ("bert", "roberta", "xlm-roberta"))
    return [
        {"name": "BertTokenizer lowers case unless told", "files": {config: without("do_lower_case")}},
        {"name": "BertTokenizer keeps accents where told", "files": {config: {**own, "do_lower_case": True, "strip_accents": False}}},
        {"name": "BertTokenizer strips accents where told", "files": {config: {**own, "strip_accents": True}}},
        {"name": "BertTokenizer leaves Chinese words whole", "files": {config: {**own, "tokenize_chinese_chars": False}}},
        {"name": "BertTokenizer frames as it does", "merged": framed},
        {"name": "BertTokenizer knows words of 100 letters", "merged": shorter},
        {"name": "BertTokenizerFast is the same", "files": {config: {**without("do_lower_case"), "tokenizer_class": "BertTokenizerFast"}}},
        {"name": "ElectraTokenizer is the same", "files": {config: {**without("do_lower_case"), "tokenizer_class": "ElectraTokenizer"}}},
        {"name": "PreTrainedTokenizerFast overrides nothing", "files": {config: {**named("PreTrainedTokenizerFast"), "do_lower_case": True}}, "merged": framed},
        {"name": "an unknown class overrides nothing", "files": {config: {**named("KoBertTokenizer"), "do_lower_case": True}}},
        {"name": "class of config.json", "files": {config: None, "config.json": {"model_type": "roberta", "tokenizer_class": "BertTokenizerFast"}}},
        {"name": "class of the model's family", "files": {config: None, **bert}},
        {"name": "vocab.txt alone", "base": "bert-tiny", "files": {config: None}},
        {"name": "added_tokens.json beside vocab.txt", "base": "bert-tiny", "files": {"added_tokens.json": {"[WORLD]": 360, "<w>": 361}}},
        {"name": "added_tokens.json beside tokenizer.json", "files": {"added_tokens.json": {"[WORLD]": 700, "<w>": 600}}},
        {"name": "added_tokens.json with a special token", "files": {config: {**own, "mask_token": "<mask>"}, "added_tokens.json": {"<mask>": 500}}},
        {"name": "added_tokens.json and PreTrainedTokenizerFast", "files": {config: named("PreTrainedTokenizerFast"), "added_tokens.json": {"[WORLD]": 500}}},
        {"name": "added_tokens_decoder", "files": {config: {**own, "added_tokens_decoder": {"500": world, "501": token("<w>", lstrip=True)}}, "added_tokens.json": {"안녕": 500}}},
        {"name": "added_tokens_decoder without tokens of tokenizer.json", "files": {config: {**named("PreTrainedTokenizerFast"), "added_tokens_decoder": {"4": token("[MASK]", lstrip=True)}}}, "merged": bare},
        {"name": "a normalized token in lower case", "files": {config: {**own, "do_lower_case": True, "added_tokens_decoder": {"500": world}}}},
        {"name": "a single word", "files": {config: {**own, "added_tokens_decoder": {"500": {**world, "content": "온", "single_word": True}}}}},
        {"name": "special_tokens_map.json", "files": {"special_tokens_map.json": {"mask_token": token("<mask>", lstrip=True), "cls_token": "[PAD]"}}},
        {"name": "special_tokens_map.json with further ones", "files": {"special_tokens_map.json": {"additional_special_tokens": ["[WORLD]", "<w>"]}}},
        {"name": "additional_special_tokens", "files": {config: {**own, "additional_special_tokens": ["[WORLD]"]}}},
        {"name": "extra_special_tokens by name", "files": {config: {**own, "extra_special_tokens": {"world": "[WORLD]"}}}},
        {"name": "a special token of the model's own", "files": {config: {**own, "world_token": "[WORLD]"}}},
        {"name": "special tokens are text", "files": {config: {**own, "split_special_tokens": True}}},
        {"name": "another frame", "files": {config: {**own, "cls_token": "[MASK]", "sep_token": "[PAD]"}}},
        {"name": "RobertaTokenizer without a space in front", "base": "byte-level", "files": roberta},
        {"name": "RobertaTokenizer with a space in front", "base": "byte-level", "files": {config: {"tokenizer_class": "RobertaTokenizerFast", "add_prefix_space": True}, **bert}},
        {"name": "byte-level BPE as it is", "base": "byte-level", "files": {config: {"tokenizer_class": "PreTrainedTokenizerFast"}, **roberta}},
        {"name": "XLMRobertaTokenizer", "base": "unigram", "files": xlm},
        {"name": "XLMRobertaTokenizer without a space in front", "base": "unigram", "files": {config: {"tokenizer_class": "XLMRobertaTokenizer", "add_prefix_space": False}, **bert}},
        {"name": "DebertaV2Tokenizer", "base": "unigram", "files": {config: {"tokenizer_class": "DebertaV2Tokenizer", **deberta}}},
        {"name": "DebertaV2Tokenizer by its family, lower case, punctuation apart", "base": "unigram", "files": {config: {"do_lower_case": True, "split_by_punct": True, "add_prefix_space": False, **deberta}, "config.json": {"model_type": "deberta-v2"}}},
        {"name": "Qwen2Tokenizer", "base": "byte-level", "files": {config: {"tokenizer_class": "Qwen2Tokenizer", **qwen}}},
        {"name": "Qwen2Tokenizer by its family, with a space in front", "base": "byte-level", "files": {config: {"add_prefix_space": True, **qwen}, "config.json": {"model_type": "qwen3"}}, "merged": {"tokenizer.json": {"post_processor": ended}}},
        {"name": "CamembertTokenizer", "base": "unigram", "files": {config: {"tokenizer_class": "CamembertTokenizer"}, **xlm}},
    ]


def encoder_cases(fixtures: Path) -> list[dict]:
    length, st = "sentence_bert_config.json", "config_sentence_transformers.json"
    plain = {"prompts": {}, "default_prompt_name": None}
    config = json.loads((fixtures / "st-roberta-tiny-old/tokenizer_config.json").read_text(encoding="utf-8"))
    kind = "sentence_transformers.models."
    modules = lambda *names: [
        {"idx": index, "name": str(index), "path": path, "type": name}
        for index, (path, name) in enumerate(zip(["", "1_Pooling", "2_Normalize"], names))
    ]
    normalized = {"modules.json": modules(kind + "Transformer", kind + "Pooling", kind + "Normalize")}
    moved = modules(
        "sentence_transformers.base.modules.transformer.Transformer",
        "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
        "sentence_transformers.base.modules.normalize.Normalize",
    )
    arguments = {"tokenizer_args": {"do_lower_case": True, "use_fast": True, "padding_side": "left"}}
    return [
        {"name": "do_lower_case leaves special tokens", "files": {length: {"max_seq_length": 24, "do_lower_case": True}}},
        {"name": "an older name of the length", "files": {length: None, "sentence_xlm-roberta_config.json": {"max_seq_length": 6}}},
        {"name": "the first of two names", "files": {length: {}, "sentence_camembert_config.json": {"max_seq_length": 7}, "sentence_xlnet_config.json": {"max_seq_length": 4}}},
        {"name": "the tokenizer's length", "files": {length: None, "tokenizer_config.json": {**config, "model_max_length": 5}}},
        {"name": "the tokenizer's length by its older name", "files": {length: None, "tokenizer_config.json": {**{key: value for key, value in config.items() if key != "model_max_length"}, "max_len": 6}}},
        {"name": "arguments", "files": {length: {"max_seq_length": 24, "model_args": {"attn_implementation": "eager", "torch_dtype": "float32"}, "config_args": {"use_cache": False, "hidden_act": "gelu"}, **arguments}}},
        {"name": "arguments by their newer names", "files": {length: {"max_seq_length": 24, "processor_kwargs": {"model_max_length": 5, "mask_token": "."}, "model_kwargs": {"dtype": "auto"}}}},
        {"name": "truncated", "files": {st: {**plain, "truncate_dim": 8}}},
        {"name": "truncated after it was normalized", "files": {st: {**plain, "truncate_dim": 8}, **normalized}},
        {"name": "truncated beyond its width", "files": {st: {**plain, "truncate_dim": 100}}},
        {"name": "dot", "files": {st: {**plain, "similarity_fn_name": "dot"}}},
        {"name": "dot of truncated", "files": {st: {**plain, "similarity_fn_name": "dot", "truncate_dim": 8, "model_type": "SentenceTransformer"}}},
        {"name": "euclidean", "files": {st: {**plain, "similarity_fn_name": "euclidean"}}},
        {"name": "manhattan", "files": {st: {**plain, "similarity_fn_name": "manhattan"}}},
        {"name": "classes that moved", "files": {"modules.json": moved}},
    ]


def merge(own: Any, other: Any) -> Any:
    """Keys of objects within objects; anything else is replaced."""
    if not (isinstance(own, dict) and isinstance(other, dict)):
        return other
    return own | {key: merge(own.get(key), value) for key, value in other.items()}


def lay_out(case: dict, fixtures: Path, target: Path) -> None:
    """What the tests do with a case too."""
    shutil.copytree(fixtures / case["base"], target)
    for name, value in case.get("files", {}).items():
        (target / name).unlink(missing_ok=True)
        if value is not None:
            write_json(target / name, value)
    for name, value in case.get("merged", {}).items():
        own = json.loads((target / name).read_text(encoding="utf-8"))
        write_json(target / name, merge(own, value))


def make(fixtures: Path) -> None:
    texts = TEXTS + sentences.EMBEDDED[:4]
    write_json(fixtures / "byte-level" / "tokenizer.json", byte_level())
    write_json(fixtures / "unigram" / "tokenizer.json", unigram())
    tokenizers = [{"base": "roberta-tiny", **case} for case in tokenizer_cases(fixtures)]
    encoders = [{"base": "st-roberta-tiny-old", **case} for case in encoder_cases(fixtures)]
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(tokenizers):
            target = Path(folder) / f"tokenizer-{number}"
            lay_out(case, fixtures, target)
            tokenizer = AutoTokenizer.from_pretrained(target)
            case["ids"] = [tokenizer(text, truncation=True, max_length=MAX_SEQ_LENGTH)["input_ids"] for text in texts]
        for number, case in enumerate(encoders):
            target = Path(folder) / f"encoder-{number}"
            lay_out(case, fixtures, target)
            encoder = SentenceTransformer(str(target), device="cpu")
            embeddings = encoder.encode(texts, convert_to_tensor=True)
            case["embeddings"] = float32(embeddings)
            case["similarities"] = float32(encoder.similarity(embeddings[:1], embeddings)[0])
    write_json(
        fixtures / "foreign.json",
        {"texts": texts, "max_seq_length": MAX_SEQ_LENGTH, "tokenizers": tokenizers, "encoders": encoders},
    )

"""Saves tiny random models with this environment's sentence-transformers and transformers, and their embeddings.

    PYTHONPATH=scripts/reference "$python" scripts/interchange/make_models.py DIR

Writes the models below DIR and DIR/rows.json. Embeddings come from the model in memory, not from what was saved.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import sentence_transformers
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer, models
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers import models as tokenizer_models
from transformers import (
    AutoModelForMaskedLM,
    AutoModel,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

import families
import sentences
from rows import OURS, Row, quiet, save_rows, save_vectors, scores
from texts import KOREAN, LOWERED
from tiny_models import make_bert, make_roberta, randomize

ST = f"sentence-transformers {sentence_transformers.__version__}"
HF = f"transformers {transformers.__version__}"
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
# Beside BERT and RoBERTa, by their names in scripts/reference/families.py.
FAMILIES = {
    "CamemBERT": "camembert",
    "DeBERTa-v2": "deberta-v2",
    "DeBERTa-v2, apart": "deberta-v2-apart",
    "DistilBERT": "distilbert",
    "ELECTRA": "electra",
    "ModernBERT": "modernbert",
    "Qwen3": "qwen3",
    "XLM-RoBERTa": "xlm-roberta",
}
CROSS_ENCODERS = ("RoBERTa", "BERT", *(name for name in FAMILIES if name != "Qwen3"))
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def encode(model: SentenceTransformer, texts: list[str]) -> torch.Tensor:
    return model.encode(texts, convert_to_tensor=True)  # (sentences, hidden)


def slug(what: str) -> str:
    return re.sub("[^A-Za-z0-9_]+", "-", what)


def transformer(base: Path, **options: object) -> models.Transformer:
    return models.Transformer(str(base), **options)


def assembled(*modules: torch.nn.Module) -> SentenceTransformer:
    return SentenceTransformer(modules=list(modules), device="cpu").eval()


def hidden(module: models.Transformer) -> int:
    return module.auto_model.config.hidden_size


def tokenizer_of(kind: str) -> Tokenizer:
    """A tokenizer with the parts of roberta-base's (`byte-level`) or xlm-roberta-base's (`unigram`)."""
    corpus = [text for group in sentences.GROUPS for text in group]
    if kind == "byte-level":
        tokenizer = Tokenizer(tokenizer_models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=500, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
        )
    else:
        tokenizer = Tokenizer(tokenizer_models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=500, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
        )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def make_with_tokenizer(directory: Path, kind: str) -> None:
    """A RoBERTa with another tokenizer than WordPiece."""
    names = zip(("cls", "pad", "sep", "unk", "mask"), SPECIAL, strict=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer_of(kind), model_max_length=64, **{f"{name}_token": token for name, token in names}
    )
    classes = {"byte-level": (RobertaConfig, RobertaModel), "unigram": (XLMRobertaConfig, XLMRobertaModel)}
    config_class, model_class = classes[kind]
    config = config_class(vocab_size=len(tokenizer), max_position_embeddings=66, type_vocab_size=1, pad_token_id=1, **SMALL)
    model = model_class(config)
    randomize(model, seed=4)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def copy_beside(source: Path, directory: Path) -> None:
    """The tokenizer's files and, where there is none yet, the configuration."""
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "config.json"):
        if (source / name).exists() and not (directory / name).exists():
            (directory / name).write_bytes((source / name).read_bytes())


def plain_models(folder: Path, roberta: Path, bert: Path) -> Iterator[tuple[str, Path]]:
    """What transformers saves: with and without head, with and without prefix, safetensors and pickle."""
    for base, model_class in ((roberta, RobertaModel), (bert, BertModel)):
        masked = AutoModelForMaskedLM.from_pretrained(base)
        encoder = model_class.from_pretrained(base)
        for model in (encoder, masked):
            name = type(model).__name__
            saved = folder / f"{name}-safetensors"
            model.save_pretrained(saved)
            copy_beside(base, saved)
            yield f"{name}, model.safetensors", saved
            pickled = folder / f"{name}-bin"
            pickled.mkdir(parents=True)
            model.config.save_pretrained(pickled)
            torch.save(model.state_dict(), pickled / "pytorch_model.bin")
            copy_beside(base, pickled)
            yield f"{name}, pytorch_model.bin", pickled


def sentence_models(bases: dict[str, Path]) -> Iterator[tuple[str, SentenceTransformer]]:
    for name in ("RoBERTa", "BERT"):
        for mode in ("mean", "cls", "max"):
            for normalize in (False, True):
                encoder = transformer(bases[name], max_seq_length=48)
                modules = [encoder, models.Pooling(hidden(encoder), pooling_mode=mode)]
                modules += [models.Normalize()] if normalize else []
                yield f"{name}, {mode}" + (", Normalize" if normalize else ""), assembled(*modules)
        encoder = transformer(bases[name], max_seq_length=12)
        yield f"{name}, 12 tokens", assembled(encoder, models.Pooling(hidden(encoder)))
    # The last versions of 5 leave the rule in tokenizer.json alone, where transformers 4 finds it and 5 does not look.
    if "do_lower_case" in models.Transformer.config_keys or not transformers.__version__.startswith("4."):
        encoder = transformer(bases["RoBERTa"], do_lower_case=True)
        yield "RoBERTa, do_lower_case", assembled(encoder, models.Pooling(hidden(encoder)))
    for name in ("byte-level", "unigram"):
        encoder = transformer(bases[name])
        yield f"{type(encoder.auto_model).__name__}, {name} tokens", assembled(encoder, models.Pooling(hidden(encoder)))


    for mode in ("mean_sqrt_len_tokens", "weightedmean", "lasttoken"):
        encoder = transformer(bases["RoBERTa"])
        yield f"RoBERTa, {mode}", assembled(encoder, models.Pooling(hidden(encoder), pooling_mode=mode))
    encoder = transformer(bases["RoBERTa"])
    # 5.0 takes several modes only as flags, and later versions still do.
    both = models.Pooling(hidden(encoder), pooling_mode_mean_tokens=True, pooling_mode_max_tokens=True)
    yield "RoBERTa, mean and max", assembled(encoder, both)
    encoder = transformer(bases["RoBERTa"])
    prompted = assembled(encoder, models.Pooling(hidden(encoder)))
    prompted.prompts, prompted.default_prompt_name = {"query": "질문: "}, "query"
    yield "RoBERTa, default prompt", prompted
    encoder = transformer(bases["RoBERTa"])
    unprompted = assembled(encoder, models.Pooling(hidden(encoder), include_prompt=False))
    unprompted.prompts, unprompted.default_prompt_name = {"query": "질문: "}, "query"
    yield "RoBERTa, prompt left out of the mean", unprompted
    for what, modules in heads().items():
        encoder = transformer(bases["RoBERTa"])
        yield f"RoBERTa, {what}", assembled(encoder, models.Pooling(hidden(encoder)), *modules)
    for what, modules in {"StaticEmbedding": [], "StaticEmbedding, Normalize": [models.Normalize()]}.items():
        yield what, assembled(models.StaticEmbedding(tokenizer_of("unigram"), embedding_dim=16), *modules)
    for name in FAMILIES:
        encoder = transformer(bases[name])
        mode = "lasttoken" if name == "Qwen3" else "mean"
        yield f"{name}, {mode}", assembled(encoder, models.Pooling(hidden(encoder), pooling_mode=mode))


def heads() -> dict[str, list[torch.nn.Module]]:
    """What may stand behind the pooling."""
    tanh, identity = torch.nn.Tanh(), torch.nn.Identity()
    return {
        "Dense": [models.Dense(32, 16, activation_function=tanh), models.Normalize()],
        "Dense twice": [
            models.Dense(32, 40, activation_function=torch.nn.GELU()),
            models.LayerNorm(40),
            models.Dropout(0.1),
            models.Dense(40, 12, bias=False, activation_function=identity),
        ],
        "LayerNorm": [models.LayerNorm(32)],
        "Dropout": [models.Dropout(0.1)],
    }


def unsupported_models(bases: dict[str, Path]) -> Iterator[tuple[str, str, SentenceTransformer]]:
    """A name, what a refusal has to say, and the model."""
    encoder = transformer(bases["RoBERTa"])
    swish = models.Dense(32, 16, activation_function=torch.nn.Hardswish())
    yield "Dense, Hardswish", "activation_function", assembled(encoder, models.Pooling(hidden(encoder)), swish)
    encoder = transformer(bases["RoBERTa"])
    yield "module CNN", "CNN", assembled(encoder, models.CNN(32, 8), models.Pooling(8 * 3))
    if "module_input_name" in models.Dense.config_keys:
        tokens = models.Dense(32, 16, module_input_name="token_embeddings")
        encoder = transformer(bases["RoBERTa"])
        behind = assembled(encoder, models.Pooling(32), tokens)
        yield "Dense on tokens", "module_input_name", behind
    if "transformer_task" in models.Transformer.config_keys:  # what the layers' output is read from; since 5.4
        encoder = transformer(bases["RoBERTa"], transformer_task="fill-mask")
        vocabulary = encoder.auto_model.config.vocab_size
        yield "transformer task fill-mask", "fill-mask", assembled(encoder, models.Pooling(vocabulary))
        output = {"text": {"method": "forward", "method_output_name": "pooler_output"}}
        encoder = transformer(bases["RoBERTa"], modality_config=output, module_output_name="sentence_embedding")
        yield "pooler's output", "module_output_name", assembled(encoder)
    if "processing_kwargs" in models.Transformer.config_keys:
        encoder = transformer(bases["RoBERTa"], processing_kwargs={"text": {"max_length": 10}})
        yield "processing_kwargs", "processing_kwargs", assembled(encoder, models.Pooling(hidden(encoder)))
    encoder = transformer(bases["RoBERTa"], max_seq_length=12)
    encoder.tokenizer.truncation_side = "left"
    cut = assembled(encoder, models.Pooling(hidden(encoder)))
    encode(cut, KOREAN)  # the tokenizer saves its side only once it has cut something
    yield "the last 12 tokens", "truncation_side", cut


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    quiet()
    bases = {name: folder / "base" / slug(name) for name in ("RoBERTa", "BERT", "byte-level", "unigram", *FAMILIES)}
    sharded = folder / "base" / "BERT-sharded"
    for directory in (*bases.values(), sharded):
        directory.mkdir(parents=True)
    make_roberta(bases["RoBERTa"])
    make_bert(bases["BERT"], sharded)
    for name in ("byte-level", "unigram"):
        make_with_tokenizer(bases[name], name)
    for seed, (name, family) in enumerate(FAMILIES.items()):
        model = AutoModel.from_config(families.config_of(families.FAMILIES[family], vocab_size=500))
        families.randomize(model, seed)
        model.save_pretrained(bases[name])
        copy_beside(bases["RoBERTa"], bases[name])
        path = bases[name] / "tokenizer_config.json"
        keys = json.loads(path.read_text(encoding="utf-8"))
        keys["model_input_names"] = ["input_ids", "attention_mask"]  # some families have no types of tokens
        path.write_text(json.dumps(keys), encoding="utf-8")

    rows: list[Row] = []
    shards = [("BertModel, sharded safetensors", sharded)]
    for what, path in [*plain_models(folder / "plain", bases["RoBERTa"], bases["BERT"]), *shards]:
        vectors = encode(SentenceTransformer(str(path), device="cpu"), KOREAN)
        rows.append(Row(HF, what, OURS, str(path), **save_vectors(path, KOREAN, vectors)))
    for what, model in sentence_models(bases):
        path = folder / "sentence" / slug(what)
        model.save_pretrained(str(path), create_model_card=False)
        texts = LOWERED if "lower" in what else KOREAN
        # As the library itself reads it again: its version 6 does not keep every argument.
        again = SentenceTransformer(str(path), device="cpu")
        rows.append(Row(ST, what, OURS, str(path), **save_vectors(path, texts, encode(again, texts))))
    for name in CROSS_ENCODERS:
        what = f"{name}, cross-encoder"
        path = folder / "cross-encoder" / slug(what)
        # Its head is drawn anew, and gives more than rounding errors.
        model = CrossEncoder(str(bases[name]), num_labels=1, device="cpu")
        families.randomize(model.model, len(name))
        model.save_pretrained(str(path))
        keys = json.loads((path / "tokenizer_config.json").read_text(encoding="utf-8"))
        keys["model_max_length"] = 60  # version 5 would take all positions, also where the first are none
        if name == "RoBERTa":  # whose tokenizer is BERT's, and tells two types of tokens where the encoder has one
            keys["model_input_names"] = ["input_ids", "attention_mask"]
        (path / "tokenizer_config.json").write_text(json.dumps(keys), encoding="utf-8")
        rows.append(Row(ST, what, OURS, str(path), **save_vectors(path, KOREAN, scores(str(path), KOREAN))))
    for what, named, model in unsupported_models(bases):
        path = folder / "unsupported" / slug(what)
        model.save_pretrained(str(path), create_model_card=False)
        rows.append(Row(ST, what, OURS, str(path), refused=named))
    save_rows(folder / "rows.json", rows)


if __name__ == "__main__":
    main()

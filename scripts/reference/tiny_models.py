"""Tiny models with random weights in every layout that a checkpoint comes in, and their embeddings."""

import shutil
from collections import Counter
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers import models as st_models
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RobertaConfig,
    RobertaForMaskedLM,
)

import sentences
from files import float32, write_json

MAX_SEQ_LENGTH = 48
ST_MAX_SEQ_LENGTH = 24
ROBERTA_SPECIAL = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def bert_normalizer(lowercase: bool) -> normalizers.BertNormalizer:
    return normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lowercase)


def vocabulary(special: list[str], size: int, lowercase: bool) -> dict[str, int]:
    """The special tokens, then the commonest characters of our sentences, then their commonest longer pieces.

    Counted here instead of by tokenizers' own trainer, whose ids differ from run to run.
    """
    normalizer, splitter = bert_normalizer(lowercase), pre_tokenizers.BertPreTokenizer()
    characters: Counter[str] = Counter()
    pieces: Counter[str] = Counter()
    for sentence in sentences.EMBEDDED[:30] + [sentence for group in sentences.GROUPS for sentence in group]:
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(sentence)):
            for start, character in enumerate(word):
                prefix = "##" if start else ""
                characters[prefix + character] += 1
                for end in range(start + 2, min(start + 6, len(word)) + 1):
                    pieces[prefix + word[start:end]] += end - start

    def commonest(counts: Counter[str], number: int) -> list[str]:
        return sorted(counts, key=lambda piece: (-counts[piece], piece))[:number]

    tokens = special + commonest(characters, size * 7 // 10)
    tokens += commonest(pieces, size - len(tokens))
    return {token: index for index, token in enumerate(tokens)}


def word_piece_tokenizer(vocab: dict[str, int], lowercase: bool) -> Tokenizer:
    """A tokenizer with the parts of klue/roberta's."""
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = bert_normalizer(lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocab[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(sorted(ROBERTA_SPECIAL, key=vocab.get))
    return tokenizer


def tokenizer_config(lowercase: bool, max_length: int) -> dict:
    return {
        "cls_token": "[CLS]",
        "do_lower_case": lowercase,
        "mask_token": "[MASK]",
        "model_max_length": max_length,
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
        "unk_token": "[UNK]",
    }


def randomize(model: PreTrainedModel, seed: int) -> None:
    """Weights wide enough that embeddings differ; biases and layer norms that are not 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.6 if "word_embeddings" in name else 0.15
            center = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            parameter.copy_(center + scale * noise)


def make_roberta(directory: Path) -> None:
    """`model.safetensors` of a masked language model: names with `roberta.`, and a head beside them."""
    vocab = vocabulary(ROBERTA_SPECIAL, size=500, lowercase=False)
    config = RobertaConfig(
        vocab_size=len(vocab),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=66,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        hidden_act="gelu",
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        tokenizer_class="BertTokenizer",
    )
    model = RobertaForMaskedLM(config)
    randomize(model, seed=1)
    model.save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    word_piece_tokenizer(vocab, lowercase=False).save(str(directory / "tokenizer.json"))
    write_json(directory / "tokenizer_config.json", tokenizer_config(lowercase=False, max_length=64))


def make_bert(directory: Path, sharded: Path) -> None:
    """`pytorch_model.bin` with `bert.` and `vocab.txt`; then the same encoder in shards, without prefix."""
    vocab = vocabulary(BERT_SPECIAL, size=360, lowercase=True)
    config = BertConfig(
        vocab_size=len(vocab),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=48,
        max_position_embeddings=64,
        type_vocab_size=2,
        layer_norm_eps=1e-12,
        hidden_act="gelu_new",
        pad_token_id=0,
    )
    model = BertForMaskedLM(config)
    randomize(model, seed=2)
    model.config.architectures = ["BertForMaskedLM"]
    model.config.save_pretrained(directory)
    # Older checkpoints hold this buffer, of integers, beside the weights.
    state = model.state_dict() | {"bert.embeddings.position_ids": torch.arange(64).unsqueeze(0)}
    torch.save(state, directory / "pytorch_model.bin")
    (directory / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
    write_json(directory / "tokenizer_config.json", tokenizer_config(lowercase=True, max_length=64))

    encoder = BertModel(config)
    randomize(encoder, seed=3)  # for the pooler, which an encoder must pass over
    missing = encoder.load_state_dict(model.bert.state_dict(), strict=False).missing_keys
    assert missing == ["pooler.dense.weight", "pooler.dense.bias"], missing
    encoder.save_pretrained(sharded, max_shard_size="40KB")
    word_piece_tokenizer(vocab, lowercase=True).save(str(sharded / "tokenizer.json"))
    write_json(sharded / "tokenizer_config.json", tokenizer_config(lowercase=True, max_length=64))


def make_sentence_transformers(roberta: Path, new: Path, old: Path) -> None:
    """The RoBERTa weights as sentence-transformers 6 saves them, and in the layout of its versions 2 to 4."""
    transformer = st_models.Transformer(str(roberta), max_seq_length=ST_MAX_SEQ_LENGTH)
    pooling = st_models.Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(str(new), create_model_card=False)

    # The newer layout keeps the length limit in tokenizer_config.json, the older one in sentence_bert_config.json.
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        shutil.copyfile(new / name, old / name)
    shutil.copyfile(roberta / "tokenizer_config.json", old / "tokenizer_config.json")
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    write_json(
        old / "modules.json",
        [
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for index, (path, kind) in enumerate(modules)
        ],
    )
    write_json(
        old / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": 32,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
            "pooling_mode_weightedmean_tokens": False,
            "pooling_mode_lasttoken": False,
            "include_prompt": True,
        },
    )
    write_json(old / "sentence_bert_config.json", {"max_seq_length": ST_MAX_SEQ_LENGTH, "do_lower_case": False})
    write_json(
        old / "config_sentence_transformers.json",
        {
            "__version__": {"sentence_transformers": "2.2.2", "transformers": "4.30.2", "pytorch": "2.0.1"},
            "prompts": {},
            "default_prompt_name": None,
        },
    )


def pooled(hidden: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """Sentence embeddings in the three ways of pooling. hidden: (sentences, tokens, hidden)."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return {
        "mean": (hidden * weights).sum(1) / weights.sum(1),
        "cls": hidden[:, 0],
        "max": hidden.masked_fill(weights == 0, -torch.inf).amax(1),
    }


@torch.no_grad()
def embed(directory: Path, tokenizer: PreTrainedTokenizerBase) -> dict[str, torch.Tensor]:
    model = AutoModel.from_pretrained(directory, attn_implementation="eager", add_pooling_layer=False).eval()
    assert model.dtype == torch.float32
    batch = tokenizer(
        sentences.EMBEDDED, truncation=True, max_length=MAX_SEQ_LENGTH, padding=True, return_tensors="pt"
    )
    assert 3 <= batch.attention_mask.sum(1).min() and batch.attention_mask.sum(1).max() == MAX_SEQ_LENGTH
    return pooled(model(**batch).last_hidden_state, batch.attention_mask)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-5)


def make(directory: Path) -> None:
    """All tiny models below `directory`, and `embeddings.json` beside them."""
    names = ["roberta-tiny", "bert-tiny", "bert-tiny-sharded", "st-roberta-tiny-new", "st-roberta-tiny-old"]
    roberta, bert, sharded, new, old = paths = [directory / name for name in names]
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    torch.manual_seed(0)  # for the poolers that transformers adds to a model without one
    make_roberta(roberta)
    make_bert(bert, sharded)
    make_sentence_transformers(roberta, new, old)

    bert_tokenizer = AutoTokenizer.from_pretrained(bert)
    embedded = {
        "roberta-tiny": embed(roberta, AutoTokenizer.from_pretrained(roberta)),
        "bert-tiny": embed(bert, bert_tokenizer),
    }
    from_shards = embed(sharded, AutoTokenizer.from_pretrained(sharded))
    assert all(same(from_shards[mode], embedded["bert-tiny"][mode]) for mode in from_shards)

    encoders = {path.name: SentenceTransformer(str(path), device="cpu") for path in (new, old)}
    assert all(encoder.max_seq_length == ST_MAX_SEQ_LENGTH for encoder in encoders.values())
    vectors = {
        name: encoder.encode(sentences.EMBEDDED, convert_to_tensor=True) for name, encoder in encoders.items()
    }
    assert same(vectors[new.name], vectors[old.name])
    mean = embedded["roberta-tiny"]["mean"]
    print("sentences cut by the sentence-transformers limit:", (vectors[new.name] - mean).abs().amax(1).gt(1e-4).sum().item())
    print("cosines of roberta-tiny:", cosine_range(mean), "of bert-tiny:", cosine_range(embedded["bert-tiny"]["mean"]))

    for path in directory.rglob("*.safetensors"):
        path.chmod(0o644)
    write_json(
        directory / "embeddings.json",
        {
            "max_seq_length": MAX_SEQ_LENGTH,
            "sentence_transformers_max_seq_length": ST_MAX_SEQ_LENGTH,
            "sentences": sentences.EMBEDDED,
            "models": {name: {m: float32(v) for m, v in modes.items()} for name, modes in embedded.items()},
            "sentence_transformers": float32(vectors[new.name]),
        },
    )


def cosine_range(embeddings: torch.Tensor) -> str:
    normed = torch.nn.functional.normalize(embeddings)
    cosines = (normed @ normed.T)[~torch.eye(len(normed), dtype=torch.bool)]
    return f"{cosines.min():.3f} to {cosines.max():.3f}"

"""A tiny masked language model of every family: its encoder's mean embeddings, its loss, and the norms of its gradients."""

import json
from pathlib import Path

import torch
from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from files import float32, write_json
from masked import backpropagate, hide, pad
from tiny_models import pooled

# Keys beside the vocabulary's: an odd number of layers and widths that nothing divides by chance. The tokenizer is that of
# the RoBERTa beside them, whose padding token is 1.
FAMILIES = {
    "electra": {"model_type": "electra", "embedding_size": 10, "hidden_size": 24, "num_hidden_layers": 3},
    "electra-unprojected": {"model_type": "electra", "embedding_size": 24, "hidden_size": 24, "num_hidden_layers": 1},
    "distilbert": {"model_type": "distilbert", "dim": 24, "n_layers": 3, "n_heads": 4, "hidden_dim": 40},
    "xlm-roberta": {"model_type": "xlm-roberta", "hidden_size": 24, "num_hidden_layers": 1},
    "deberta-v2": {  # sentences reach beyond half of the buckets
        "model_type": "deberta-v2",
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "relative_attention": True,
        "position_buckets": 8,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
        "conv_kernel_size": 3,
        "conv_act": "gelu",
    },
    "deberta-v2-apart": {  # one product, with projections of its own, and every distance a row
        "model_type": "deberta-v2",
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "relative_attention": True,
        "pos_att_type": "c2p",
        "max_relative_positions": 20,
        "type_vocab_size": 2,
    },
    "deberta-v2-typed": {  # types of tokens, and no positions but relative ones
        "model_type": "deberta-v2",
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "relative_attention": True,
        "position_buckets": 16,
        "pos_att_type": ["p2c"],
        "position_biased_input": False,
        "type_vocab_size": 2,
    },
    "modernbert": {
        "model_type": "modernbert",
        "hidden_size": 24,
        "num_hidden_layers": 4,
        "local_attention": 8,
        "global_attn_every_n_layers": 2,
        "cls_token_id": 0,
        "sep_token_id": 2,
    },
    "qwen3": {
        "model_type": "qwen3",
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "head_dim": 10,
        "rope_theta": 1000.0,
    },
    "camembert": {"model_type": "camembert", "hidden_size": 24, "num_hidden_layers": 1, "layer_norm_eps": 1e-5},
}
BUCKETS = [(256, 512), (8, 66), (48, 1024)]
BERTS = {"num_attention_heads": 4, "intermediate_size": 40}
COMMON = {"max_position_embeddings": 66, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def config_of(keys: dict, vocab_size: int) -> object:
    sizes = COMMON if keys["model_type"] == "distilbert" else COMMON | BERTS
    return AutoConfig.for_model(vocab_size=vocab_size, **sizes | keys)


def make(tokenizer_of: Path, fixtures: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    batch = hide(tokenizer)
    expected = {}
    for seed, (name, keys) in enumerate(FAMILIES.items()):
        config = config_of(keys, len(tokenizer))
        masked = type(config) in MODEL_FOR_MASKED_LM_MAPPING
        model = (AutoModelForMaskedLM if masked else AutoModel).from_config(config, attn_implementation="eager")
        randomize(model, seed)
        model.save_pretrained(fixtures / name)
        (fixtures / name / "generation_config.json").unlink(missing_ok=True)
        clean(fixtures / name / "config.json")
        ids, mask = pad(batch["sequences"], config.pad_token_id)
        with torch.no_grad():
            hidden = model.eval().base_model(input_ids=ids, attention_mask=mask).last_hidden_state
        expected[name] = {
            "class": type(model.base_model).__name__,
            "mean": float32(pooled(hidden, mask)["mean"]),
        }
        if masked:
            expected[name]["loss"] = backpropagate(model, batch)["loss"]
            expected[name]["gradients"] = {key: parameter.grad.norm().item() for key, parameter in named(model)}
    buckets = [{"span": span, "farthest": farthest, "buckets": buckets_of(span, farthest)} for span, farthest in BUCKETS]
    write_json(fixtures / "families.json", {"batch": batch, "families": expected, "buckets": buckets})


def buckets_of(span: int, farthest: int) -> list[int]:
    """DeBERTa's bucket of each distance from 0 on."""
    return make_log_bucket_position(torch.arange(farthest), span, farthest).long().tolist()


def named(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """Those that learned; one that two names share has that of the table or of the head's own bias."""
    tied = (".decoder.", "decoder.weight", "vocab_projector.weight", "generator_lm_head.weight")
    everything = model.named_parameters(remove_duplicate=False)
    return [(name, value) for name, value in everything if value.grad is not None and not any(part in name for part in tied)]


def randomize(model: torch.nn.Module, seed: int) -> None:
    """Weights wide enough that embeddings differ; biases and norms that are not 0 and 1."""
    generator = torch.Generator().manual_seed(100 + seed)
    norms = {
        id(module.weight) for module in model.modules() if "norm" in type(module).__name__.lower() and module.weight is not None
    }
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.6 if "word_embeddings" in name or "tok_embeddings" in name or "embed_tokens" in name else 0.2
            parameter.copy_((1.0 if id(parameter) in norms else 0.0) + scale * noise)


def clean(path: Path) -> None:
    """The version of transformers is no part of a model."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("transformers_version", None)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

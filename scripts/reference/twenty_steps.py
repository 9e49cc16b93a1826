"""Twenty steps of fine-tuning in PyTorch: losses, gradient norms, learning rates and final weights."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cosine_similarity
from transformers import AutoTokenizer, RobertaModel, get_linear_schedule_with_warmup
from transformers import PreTrainedTokenizerBase as TokenizerBase

import sentences
from files import write_json
from tiny_models import pooled

HYPERPARAMETERS = {
    "max_seq_length": 48,
    "batch_size": 8,
    "steps": 20,
    "warmup_steps": 5,
    "learning_rate": 1e-3,
    "betas": [0.9, 0.999],
    "eps": 1e-8,
    "weight_decay": 0.1,  # ten times the usual: without it the weights end 1e-3 off, which a test can see
    "max_grad_norm": 1.0,
}
SCHEDULES = [(0, 10), (5, 20), (10, 10), (3, 7), (1, 1)]  # (warm-up steps, steps)

Batch = list[tuple[str, str, float]]


def embed(encoder: RobertaModel, tokenizer: TokenizerBase, texts: list[str]) -> Tensor:
    length = HYPERPARAMETERS["max_seq_length"]
    inputs = tokenizer(texts, truncation=True, max_length=length, padding=True, return_tensors="pt")
    return pooled(encoder(**inputs).last_hidden_state, inputs.attention_mask)["mean"]  # (sentences, hidden)


def _decays(name: str) -> bool:
    return not name.endswith("bias") and "LayerNorm" not in name



def train(directory: Path, batches: list[Batch], dtype: torch.dtype) -> tuple[dict[str, list[float]], RobertaModel]:
    """Trains the encoder in `directory` on `batches`, one step each, without dropout."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    encoder = RobertaModel.from_pretrained(
        directory,
        add_pooling_layer=False,
        attn_implementation="eager",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    encoder = encoder.to(dtype).train()
    named = list(encoder.named_parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for name, p in named if _decays(name)], "weight_decay": HYPERPARAMETERS["weight_decay"]},
            {"params": [p for name, p in named if not _decays(name)], "weight_decay": 0.0},
        ],
        lr=HYPERPARAMETERS["learning_rate"],
        betas=tuple(HYPERPARAMETERS["betas"]),
        eps=HYPERPARAMETERS["eps"],
    )
    schedule = get_linear_schedule_with_warmup(optimizer, HYPERPARAMETERS["warmup_steps"], HYPERPARAMETERS["steps"])

    log: dict[str, list[float]] = {"losses": [], "grad_norms": [], "learning_rates": []}
    for batch in batches:
        left, right, labels = zip(*batch, strict=True)
        cosine = cosine_similarity(
            embed(encoder, tokenizer, list(left)), embed(encoder, tokenizer, list(right)), eps=1e-8
        )
        loss = ((5 * cosine - torch.tensor(labels, dtype=dtype)) ** 2).mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(encoder.parameters(), HYPERPARAMETERS["max_grad_norm"])
        log["losses"].append(loss.item())
        log["grad_norms"].append(norm.item())
        log["learning_rates"].append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return log, encoder


def state(encoder: RobertaModel) -> dict[str, Tensor]:
    """Names as in the initial checkpoint."""
    return {f"roberta.{name}": tensor.detach().contiguous() for name, tensor in encoder.named_parameters()}


def schedule_factors(warmup: int, total: int) -> list[float]:
    """Factors of the learning rate in steps 0..=total; the last is what follows the last step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, total)
    factors = [schedule.get_last_lr()[0]]
    for _ in range(total):
        optimizer.step()
        schedule.step()
        factors.append(schedule.get_last_lr()[0])
    return factors


def make(initial: Path, output: Path) -> None:
    """`steps.json`, `final.safetensors` and `schedule.json`; `initial` is the tiny RoBERTa's directory."""
    size = HYPERPARAMETERS["batch_size"]
    pairs = sentences.pairs()
    batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    assert len(batches) == HYPERPARAMETERS["steps"] and all(len(batch) == size for batch in batches)

    log, encoder = train(initial, batches, torch.float32)
    log64, encoder64 = train(initial, batches, torch.float64)
    untrained = state(RobertaModel.from_pretrained(initial, add_pooling_layer=False))
    report_noise(log, log64, untrained, state(encoder), state(encoder64))

    shutil.rmtree(output, ignore_errors=True)
    write_json(
        output / "steps.json",
        {
            "hyperparameters": HYPERPARAMETERS,
            "batches": [[list(pair) for pair in batch] for batch in batches],
            **log,
            "losses_f64": log64["losses"],
            "grad_norms_f64": log64["grad_norms"],
        },
    )
    save_file(state(encoder), output / "final.safetensors")
    (output / "final.safetensors").chmod(0o644)
    write_json(
        output / "schedule.json",
        [{"warmup": warmup, "total": total, "factors": schedule_factors(warmup, total)} for warmup, total in SCHEDULES],
    )


def report_noise(log: dict, log64: dict, untrained: dict, final: dict, final64: dict) -> None:
    """Prints how far f32 is from f64: what no other f32 implementation can be asked to undercut."""
    print("losses:", " ".join(f"{loss:.3f}" for loss in log["losses"]))
    print("gradient norms:", " ".join(f"{norm:.2f}" for norm in log["grad_norms"]))
    for key in ("losses", "grad_norms"):
        print(f"{key}, f32 against f64: {max(abs(a / b - 1) for a, b in zip(log[key], log64[key])):.1e} relative")
    print("relative difference of final weights, f32 against f64, and how far training moved them:")
    for name, tensor in final.items():
        truth = final64[name]
        noise = ((tensor.double() - truth).norm() / truth.norm()).item()
        moved = ((truth - untrained[name].double()).norm() / truth.norm()).item()
        print(f"  {noise:.1e}  {moved:.1e}  {name}")

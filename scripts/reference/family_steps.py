"""Twenty steps of AdamW of a tiny model of every family in PyTorch: losses, gradient norms and how far the weights went."""

import json
from pathlib import Path

import torch
from torch.nn.functional import cosine_similarity
from transformers import AutoModel, get_linear_schedule_with_warmup

from families import FAMILIES
from files import write_json
from masked import pad
from tiny_models import pooled

STEPS = {"steps": 20, "warmup_steps": 5, "learning_rate": 1e-3, "weight_decay": 0.1, "max_grad_norm": 1.0}


def make(fixtures: Path, output: Path) -> None:
    sequences = json.loads((fixtures / "families.json").read_text(encoding="utf-8"))["batch"]["sequences"]
    batches = [batch(sequences, step) for step in range(STEPS["steps"])]
    families = {name: train(fixtures / name, batches) for name in FAMILIES}
    write_json(output, {"hyperparameters": STEPS, "batches": batches, "families": families})


def batch(sequences: list[list[int]], step: int) -> dict:
    """Each sequence with another, and a label from 0 to 5."""
    turned = sequences[1 + step % 7 :] + sequences[: 1 + step % 7]
    labels = [(7 * place + 3 * step) % 11 / 2 for place in range(len(sequences))]
    return {"sentences": sequences + turned, "labels": labels}


def train(directory: Path, batches: list[dict]) -> dict:
    model = AutoModel.from_pretrained(directory, attn_implementation="eager", dtype=torch.float32).eval()
    if hasattr(model, "pooler"):
        model.pooler = None
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    losses, grad_norms = steps(model, batches)
    moved = {name: (parameter.detach() - before[name]).norm().item() for name, parameter in model.named_parameters()}
    print(f"{directory.name}: losses {losses[0]:.2f} to {losses[-1]:.2f}")
    return {"losses": losses, "grad_norms": grad_norms, "moved": moved}


def steps(model: torch.nn.Module, batches: list[dict]) -> tuple[list[float], list[float]]:
    norms = {id(p) for module in model.modules() if "norm" in type(module).__name__.lower() for p in module.parameters()}
    decays = lambda name, p: id(p) not in norms and not name.endswith("bias")
    groups = {decayed: [p for name, p in model.named_parameters() if decays(name, p) == decayed] for decayed in (True, False)}
    optimizer = torch.optim.AdamW(
        [
            {"params": groups[True], "weight_decay": STEPS["weight_decay"]},
            {"params": groups[False], "weight_decay": 0.0},
        ],
        lr=STEPS["learning_rate"],
    )
    schedule = get_linear_schedule_with_warmup(optimizer, STEPS["warmup_steps"], STEPS["steps"])
    losses, grad_norms = [], []
    for batch in batches:
        ids, mask = pad(batch["sentences"], model.config.pad_token_id)
        embeddings = pooled(model(input_ids=ids, attention_mask=mask).last_hidden_state, mask)["mean"]
        cosines = cosine_similarity(*embeddings.chunk(2), eps=1e-8)
        loss = ((5 * cosines - torch.tensor(batch["labels"])) ** 2).mean()
        loss.backward()
        losses.append(loss.item())
        grad_norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), STEPS["max_grad_norm"]).item())
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return losses, grad_norms

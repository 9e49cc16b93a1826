"""The training peer of hosts without sentence-transformers: a plain PyTorch loop that does what its trainer does.

    python3 scripts/bench/train_loop.py --model DIR --pairs FILE.csv --precision bf16 --output FILE.json --device cuda:0

Each side of a batch goes through the encoder padded to its longest sentence, under autocast with bf16; fused AdamW,
gradients clipped, linear decay. Writes pairs a second after the first step, and the mean loss.
"""

import csv
import json
import random
import time
from pathlib import Path

import peer_arguments
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, mse_loss
from transformers import AutoTokenizer, RobertaModel, get_linear_schedule_with_warmup

BATCH_SIZE = 32
Row = dict[str, str]


class SentenceEncoder(nn.Module):
    """Sentences to embeddings (sentences, hidden)."""

    def __init__(self, model: Path) -> None:
        super().__init__()
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.encoder = RobertaModel.from_pretrained(
            model, add_pooling_layer=False, dtype=torch.float32, attn_implementation="sdpa"
        )

    def forward(self, texts: list[str]) -> Tensor:
        inputs = self.tokenizer(texts, truncation=True, max_length=128, padding=True, return_tensors="pt")
        inputs = inputs.to(self.encoder.device)
        hidden = self.encoder(inputs.input_ids, attention_mask=inputs.attention_mask).last_hidden_state
        mask = inputs.attention_mask.unsqueeze(-1)  # (sentences, tokens, 1)
        return (hidden.float() * mask).sum(1) / mask.sum(1)


def batches(path: Path) -> list[list[Row]]:
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(0).shuffle(rows)
    return [rows[first : first + BATCH_SIZE] for first in range(0, len(rows), BATCH_SIZE)]


def optimizer(model: nn.Module) -> torch.optim.AdamW:
    decayed = [value for name, value in model.named_parameters() if value.dim() > 1]
    others = [value for name, value in model.named_parameters() if value.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=2e-5, fused=True)


def batch_loss(model: SentenceEncoder, rows: list[Row], precision: str) -> Tensor:
    device = model.encoder.device
    labels = torch.tensor([float(row["label"]) / 5 for row in rows], device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        sides = [model([row[column] for row in rows]) for column in ("sentence1", "sentence2")]
    return mse_loss(cosine_similarity(*sides), labels)


def train(model: SentenceEncoder, data: list[list[Row]], precision: str) -> dict[str, float]:
    steps = optimizer(model)
    schedule = get_linear_schedule_with_warmup(steps, 0, len(data))
    losses: list[Tensor] = []
    start = 0.0
    for rows in data:
        loss = batch_loss(model, rows, precision)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        steps.step()
        schedule.step()
        steps.zero_grad()
        losses.append(loss.detach())
        if len(losses) == 1:
            start = now(model)
    seconds = now(model) - start
    return {"pairs_per_second": (len(data) - 1) * BATCH_SIZE / seconds, "loss": torch.stack(losses).mean().item()}


def now(model: SentenceEncoder) -> float:
    """The time when the device has done all that it was told."""
    if model.encoder.device.type == "cuda":
        torch.cuda.synchronize(model.encoder.device)
    return time.perf_counter()


def main() -> None:
    arguments = peer_arguments.parse(__doc__.splitlines()[0])
    model = SentenceEncoder(arguments.model).to(arguments.device).train()
    figures = train(model, batches(arguments.pairs), arguments.precision)
    arguments.output.write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The loss of a masked language model and the gradients of all its weights, by transformers."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, RobertaForMaskedLM

import sentences
from files import write_json


def make(directory: Path, fixtures: Path) -> None:
    """Hides every fifth token of some sentences of different lengths; the rest of each batch is padding here."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = RobertaForMaskedLM.from_pretrained(
        directory, attn_implementation="eager", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    ).train()
    special = set(tokenizer.all_special_ids)
    batch = [tokenizer(text, truncation=True, max_length=48)["input_ids"] for text in sentences.EMBEDDED[:8]]
    hidden, labels, positions, start = [], [], [], 0
    for ids in batch:
        places = [place for place, token in enumerate(ids) if token not in special][::5]
        hidden.append([tokenizer.mask_token_id if place in places else token for place, token in enumerate(ids)])
        labels += [ids[place] for place in places]
        positions += [start + place for place in places]
        start += len(ids)

    longest = max(map(len, hidden))
    padded = torch.tensor([ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids in hidden])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in hidden])
    logits = model(input_ids=padded, attention_mask=mask).logits[mask.bool()]  # (tokens, vocab), one sentence after the other
    loss = cross_entropy(logits[positions], torch.tensor(labels))
    loss.backward()
    right = (logits[positions].argmax(-1) == torch.tensor(labels)).sum().item()

    write_json(
        fixtures / "batch.json",
        {"sequences": hidden, "positions": positions, "labels": labels, "loss": loss.item(), "right": right},
    )
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    save_file(gradients, fixtures / "gradients.safetensors")

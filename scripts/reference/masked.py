"""The loss of a masked language model and the gradients of all its weights, by transformers."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, RobertaForMaskedLM

import sentences
from files import write_json


def make(directory: Path, fixtures: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = RobertaForMaskedLM.from_pretrained(directory, attn_implementation="eager")
    batch = hide(tokenizer)
    write_json(fixtures / "batch.json", batch | backpropagate(model, batch))
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    save_file(gradients, fixtures / "gradients.safetensors")


def hide(tokenizer: PreTrainedTokenizerBase) -> dict:
    """Hides every fifth token of some sentences of different lengths."""
    special = set(tokenizer.all_special_ids)
    batch = [tokenizer(text, truncation=True, max_length=48)["input_ids"] for text in sentences.EMBEDDED[:8]]
    hidden, labels, positions, start = [], [], [], 0
    for ids in batch:
        places = [place for place, token in enumerate(ids) if token not in special][::5]
        hidden.append([tokenizer.mask_token_id if place in places else token for place, token in enumerate(ids)])
        labels += [ids[place] for place in places]
        positions += [start + place for place in places]
        start += len(ids)
    return {"sequences": hidden, "positions": positions, "labels": labels}


def pad(sequences: list[list[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask of the batch that transformers takes: (sentences, longest)."""
    longest = max(map(len, sequences))
    ids = torch.tensor([ids + [padding] * (longest - len(ids)) for ids in sequences])
    return ids, torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in sequences])


def backpropagate(model: PreTrainedModel, batch: dict) -> dict:
    """The mean loss at the hidden places, without dropout, whose gradients the model's parameters then have."""
    ids, mask = pad(batch["sequences"], model.config.pad_token_id)
    labels = torch.tensor(batch["labels"])
    logits = model.eval()(input_ids=ids, attention_mask=mask).logits[mask.bool()]  # (tokens, vocab)
    loss = cross_entropy(logits[batch["positions"]], labels)
    loss.backward()
    right = (logits[batch["positions"]].argmax(-1) == labels).sum().item()
    return {"loss": loss.item(), "right": right}

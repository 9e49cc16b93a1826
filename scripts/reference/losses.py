"""The ranking loss over the cosines of a batch, with its gradient, by sentence-transformers."""

from pathlib import Path

import torch
from sentence_transformers.sentence_transformer.losses import CoSENTLoss

from files import write_json


def make(path: Path) -> None:
    generator = torch.Generator().manual_seed(7)
    # Instead of a model's embeddings, the loss is given the cosines themselves.
    loss_of = CoSENTLoss(model=None, similarity_fct=lambda cosines, _: cosines[:, 0])
    cases = []
    for pairs in (2, 5, 32):
        cosines = (2 * torch.rand(pairs, 1, generator=generator, dtype=torch.float64) - 1).requires_grad_()
        labels = torch.randint(0, 6, (pairs,), generator=generator).double()  # with ties
        loss = loss_of.compute_loss_from_embeddings([cosines, cosines], labels)
        loss.backward()
        cases.append(
            {
                "cosines": cosines[:, 0].tolist(),
                "labels": labels.tolist(),
                "loss": loss.item(),
                "gradient": cosines.grad[:, 0].tolist(),
            }
        )
    write_json(path, cases)

"""Losses over a batch with their gradients, by sentence-transformers."""

from pathlib import Path

import torch
from sentence_transformers.sentence_transformer.losses import CoSENTLoss, MultipleNegativesRankingLoss

from files import write_json


def make(folder: Path) -> None:
    make_cosent(folder / "cosent.json")
    make_multiple_negatives(folder / "multiple-negatives.json")


def make_multiple_negatives(path: Path) -> None:
    """Anchors with their positives, without hard negatives and with one each."""
    generator = torch.Generator().manual_seed(7)
    loss_of = MultipleNegativesRankingLoss(model=None)
    cases = []
    for examples, columns in ((2, 2), (7, 2), (7, 3)):
        embeddings = [
            torch.randn(examples, 6, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(columns)
        ]
        loss = loss_of.compute_loss_from_embeddings(embeddings, labels=None)
        loss.backward()
        cases.append(
            {
                "embeddings": [column.tolist() for column in embeddings],
                "loss": loss.item(),
                "gradients": [column.grad.tolist() for column in embeddings],
            }
        )
    write_json(path, cases)


def make_cosent(path: Path) -> None:
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

"""Losses over a batch with their gradients, by sentence-transformers."""

from pathlib import Path

import torch
from sentence_transformers.cross_encoder.losses import LambdaLoss, ListMLELoss, RankNetLoss
from sentence_transformers.sentence_transformer.losses import CoSENTLoss, MultipleNegativesRankingLoss

from files import write_json


def make(folder: Path) -> None:
    make_cosent(folder / "cosent.json")
    make_multiple_negatives(folder / "multiple-negatives.json")
    make_similarity_distillation(folder / "similarity-distillation.json")
    make_joined(folder / "joined.json")


def make_multiple_negatives(path: Path) -> None:
    """Anchors with their positives, without hard negatives and with one each; and with candidates left out, by groups."""
    generator = torch.Generator().manual_seed(7)
    loss_of = MultipleNegativesRankingLoss(model=None)
    cases = []
    for examples, columns in ((2, 2), (7, 2), (7, 3)):
        embeddings = [
            torch.randn(examples, 6, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(columns)
        ]
        loss = loss_of.compute_loss_from_embeddings(embeddings, labels=None)
        groups = [[example] for example in range(examples)]
        cases.append(multiple_negatives_case(embeddings, loss, groups, groups + [[]] * examples * (columns - 2)))
    # No library leaves candidates out: here each anchor has its own list of them, written out.
    anchor_groups = [[0], [1, 4], [2], [3], [4]]
    candidate_groups = [[0, 2], [1], [2], [3], [4, 5], [], [0], [3, 4], [], [1, 2]]
    embeddings = [torch.randn(5, 6, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    anchors, candidates = embeddings[0], torch.cat(embeddings[1:])
    losses = []
    for own, of_anchor in enumerate(anchor_groups):
        kept = [own] + [
            place
            for place, of_candidate in enumerate(candidate_groups)
            if place != own and not set(of_anchor) & set(of_candidate)
        ]
        scores = 20 * torch.nn.functional.cosine_similarity(anchors[own].unsqueeze(0), candidates[kept])
        losses.append(torch.nn.functional.cross_entropy(scores.unsqueeze(0), torch.tensor([0])))
    loss = torch.stack(losses).mean()
    cases.append(multiple_negatives_case(embeddings, loss, anchor_groups, candidate_groups))
    write_json(path, cases)


def multiple_negatives_case(embeddings, loss, anchor_groups, candidate_groups) -> dict:
    loss.backward()
    return {
        "embeddings": [column.tolist() for column in embeddings],
        "anchor_groups": anchor_groups,
        "candidate_groups": candidate_groups,
        "loss": loss.item(),
        "gradients": [column.grad.tolist() for column in embeddings],
    }


def make_similarity_distillation(path: Path) -> None:
    """Cosines towards a teacher's, each pair of a group and each of two groups by itself; no library has this weighting."""
    generator = torch.Generator().manual_seed(7)
    cosine = torch.nn.functional.cosine_similarity
    cases = []
    for groups in ([0, 0, 1, 1], [3, 3, 3, 5, 5, 9, 9, 9, 9]):
        student = torch.randn(len(groups), 6, generator=generator, dtype=torch.float64, requires_grad=True)
        teacher = torch.randn(len(groups), 5, generator=generator, dtype=torch.float64)
        squares = {True: [], False: []}
        for first in range(len(groups)):
            for second in range(first):
                found = 5 * cosine(student[first], student[second], dim=0)
                expected = 5 * cosine(teacher[first], teacher[second], dim=0)
                squares[groups[first] == groups[second]].append((found - expected) ** 2)
        loss = sum(torch.stack(kind).mean() / 2 for kind in squares.values())
        loss.backward()
        cases.append(
            {
                "groups": groups,
                "student": student.tolist(),
                "teacher": teacher.tolist(),
                "loss": loss.item(),
                "gradient": student.grad.tolist(),
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


def make_joined(path: Path) -> None:
    """The losses of a cross-encoder, of lists of different lengths with equal labels among them."""
    generator = torch.Generator().manual_seed(11)
    cases = []
    for lengths in ([3, 2, 5], [4], [2, 7, 2, 3]):
        labels = [torch.randint(0, 11, (length,), generator=generator) / 2 for length in lengths]
        for own in labels:
            own[0] = 5.0 if own[1] < 5.0 else 0.0  # an order that is not all equal
        numbers = 2 * torch.randn(sum(lengths), generator=generator)
        case = {"lists": lengths, "labels": torch.cat(labels).tolist(), "numbers": numbers.tolist()}
        cases.append(case | {name: joined_loss(name, numbers, labels) for name in JOINED})
    write_json(path, cases)


JOINED = {
    "mse": lambda numbers, labels: torch.nn.functional.mse_loss(5 * numbers, torch.cat(labels)),
    "bce": lambda numbers, labels: torch.nn.functional.binary_cross_entropy_with_logits(numbers, torch.cat(labels) / 5),
    "ranknet": lambda numbers, labels: listed(RankNetLoss, numbers, labels),
    "lambdaloss": lambda numbers, labels: listed(LambdaLoss, numbers, labels),
    "listmle": lambda numbers, labels: listed(ListMLELoss, numbers, labels, respect_input_order=False),
}


def listed(loss: type, numbers: torch.Tensor, labels: list[torch.Tensor], **options: object) -> torch.Tensor:
    inputs = [["a"] * len(labels), [["b"] * len(own) for own in labels]]
    return loss(given(numbers), mini_batch_size=-1, **options)(inputs, labels)


def given(numbers: torch.Tensor) -> torch.nn.Module:
    """What the losses take for a module."""

    class Given(torch.nn.Module):
        num_labels, device = 1, torch.device("cpu")

        def preprocess(self, pairs: list, **_: object) -> dict:
            return {"pairs": torch.zeros(len(pairs))}

        def forward(self, features: dict) -> dict:
            return {"scores": numbers}

    return Given()


def joined_loss(name: str, numbers: torch.Tensor, labels: list[torch.Tensor]) -> dict:
    numbers = numbers.clone().requires_grad_()
    loss = JOINED[name](numbers, labels)
    loss.backward()
    return {"loss": loss.item(), "gradient": numbers.grad.tolist()}

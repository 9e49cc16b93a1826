"""The training peer: sentence-transformers' trainer on the pairs of a CSV file, with the settings of train.toml.

    python scripts/bench/train_peer.py --model DIR --pairs FILE.csv --precision bf16 --output FILE.json [--device cpu]

Writes pairs a second after the first step, and the mean loss.
"""

import csv
import json
import tempfile
import time
from pathlib import Path

import peer_arguments
import transformers
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import CosineSimilarityLoss

BATCH_SIZE = 32


class Clock(transformers.TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: object, **__: object) -> None:
        self.ends.append(time.perf_counter())


def dataset(path: Path) -> Dataset:
    with open(path, encoding="utf-8", newline="") as file:
        rows = [row | {"label": float(row["label"]) / 5} for row in csv.DictReader(file)]
    return Dataset.from_list(rows)


def settings(precision: str, device: str, folder: str) -> SentenceTransformerTrainingArguments:
    return SentenceTransformerTrainingArguments(
        output_dir=folder,
        num_train_epochs=1,
        per_device_train_batch_size=BATCH_SIZE,
        learning_rate=2e-5,
        weight_decay=0.01,
        max_grad_norm=1.0,
        bf16=precision == "bf16",
        use_cpu=device == "cpu",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def main() -> None:
    arguments = peer_arguments.parse(__doc__.splitlines()[0])
    model = SentenceTransformer(str(arguments.model), device=arguments.device)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = SentenceTransformerTrainer(
            model=model,
            args=settings(arguments.precision, arguments.device, folder),
            train_dataset=dataset(arguments.pairs),
            loss=CosineSimilarityLoss(model),
            callbacks=[clock],
        )
        loss = trainer.train().training_loss
    steps = len(clock.ends) - 1
    figures = {"pairs_per_second": steps * BATCH_SIZE / (clock.ends[-1] - clock.ends[0]), "loss": loss}
    arguments.output.write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()

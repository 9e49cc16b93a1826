"""Writes every fixture that the Rust tests compare with; twice in a row gives the same files.

    python=$(scripts/reference/setup.sh)
    "$python" scripts/reference/make_fixtures.py [models] [foreign] [torch] [tokenizer] [steps] [losses] [masked] [families] [modules] [pairs] [metrics]

Without a name: all of them. `tokenizer` reads klue/roberta's tokenizer, of which only the ids of our own
sentences are stored, from --data-dir (default $STS_DATA_DIR).
"""

import argparse
import os
from pathlib import Path

import torch
from transformers.utils import logging

import cross_encoders
import families
import family_steps
import foreign
import losses
import masked
import metrics
import modules
import tiny_models
import tokenizer_ids
import torch_files
import twenty_steps

CRATES = Path(__file__).resolve().parents[2] / "crates"
MODELS = CRATES / "model" / "tests" / "fixtures"
KINDS = ["models", "foreign", "torch", "tokenizer", "steps", "losses", "masked", "families", "modules", "pairs", "metrics"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"of {', '.join(KINDS)}; default: all")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("STS_DATA_DIR"))
    arguments = parser.parse_args()
    if unknown := set(arguments.kinds) - set(KINDS):
        parser.error(f"unknown: {', '.join(unknown)}")
    kinds = arguments.kinds or KINDS

    logging.set_verbosity_error()  # heads that are left out are no news
    logging.disable_progress_bar()
    torch.set_num_threads(1)  # sums in one order, so that files repeat
    if "models" in kinds:
        tiny_models.make(MODELS)
    if "torch" in kinds:
        torch_files.make(MODELS)
    if "foreign" in kinds:
        foreign.make(MODELS)
    if "tokenizer" in kinds:
        if arguments.data_dir is None:
            parser.error("tokenizer needs --data-dir or STS_DATA_DIR")
        tokenizer_ids.make(arguments.data_dir / "klue-roberta", MODELS / "klue-tokenizer-ids.json")
    if "steps" in kinds:
        twenty_steps.make(MODELS / "roberta-tiny", CRATES / "train" / "tests" / "fixtures" / "twenty-steps")
    if "losses" in kinds:
        losses.make(CRATES / "train" / "tests" / "fixtures")
    if "masked" in kinds:
        masked.make(MODELS / "roberta-tiny", MODELS / "masked-lm")
    if "families" in kinds:
        families.make(MODELS / "roberta-tiny", MODELS / "families")
        family_steps.make(MODELS / "families", CRATES / "train" / "tests" / "fixtures" / "family-steps.json")
    if "modules" in kinds:
        modules.make(MODELS / "roberta-tiny", MODELS / "modules")
    if "pairs" in kinds:
        cross_encoders.make(MODELS / "roberta-tiny", MODELS / "cross-encoders")
    if "metrics" in kinds:
        metrics.make(CRATES / "eval" / "tests" / "fixtures" / "metrics.json")


if __name__ == "__main__":
    main()

"""What a run of the benchmark measures, and where it finds things."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
# Shapes of other families than RoBERTa; checkpoints.py says what they are.
FAMILIES = ("electra", "distilbert", "deberta", "modernbert", "qwen3")


@dataclass(frozen=True)
class Amounts:
    """How much of everything is measured."""

    rounds: int
    training_rounds: int
    sentences: int | None  # of KorSTS test; None: all
    long_rounds: int  # of long sentences
    pairs_a_round: int  # repetitions of one pair
    steps: int  # of training, after one that is left out
    few: int  # sentences at a time
    many: int
    few_rows: int  # sentences of a CSV
    many_rows: int
    peers: tuple[str, ...]


FULL = Amounts(
    rounds=5,
    training_rounds=5,
    sentences=None,
    long_rounds=3,
    pairs_a_round=50,
    steps=4,
    few=1_000,
    many=100_000,
    few_rows=10_000,
    many_rows=1_000_000,
    peers=("torch f32", "torch bf16", "OpenVINO f32", "OpenVINO bf16", "ONNX Runtime f32", "ONNX Runtime int8"),
)
QUICK = Amounts(
    rounds=3,
    training_rounds=1,
    sentences=96,
    long_rounds=1,
    pairs_a_round=10,
    steps=2,
    few=200,
    many=4_000,
    few_rows=2_000,
    many_rows=20_000,
    peers=("torch f32", "torch bf16", "OpenVINO bf16", "ONNX Runtime int8"),
)


@dataclass(frozen=True)
class Places:
    """Folders."""

    data: Path
    cache: Path  # environments and models
    binaries: Path
    results: Path  # one file a job, and logs
    work: Path  # of this run alone

    def python(self, environment: str) -> Path:
        return self.cache / environment / "bin" / "python"

    def log(self, name: str) -> Path:
        return self.results / f"{name.replace(' ', '-')}.log"

"""Figures of runs that were taken in turn, and what is made of them."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median


@dataclass
class Comparison:
    """The figure of one side divided by another's of the same round."""

    side: str
    beside: str
    goal: str = ""  # such as "≥ 1.25"


@dataclass
class Table:
    """One figure of several sides: per side, one value a round."""

    title: str
    unit: str
    sides: dict[str, list[float]]
    comparisons: list[Comparison] = field(default_factory=list)
    note: str = ""

    def ratios(self, comparison: Comparison) -> list[float]:
        pairs = zip(self.sides[comparison.side], self.sides[comparison.beside], strict=True)
        return [ours / theirs for ours, theirs in pairs]

    def known(self) -> list[Comparison]:
        """The comparisons of sides that ran."""
        return [entry for entry in self.comparisons if {entry.side, entry.beside} <= self.sides.keys()]


@dataclass
class Result:
    """What one job gave: a section of the report."""

    title: str
    about: str
    date: str
    commit: str
    command: str
    busy: float  # share of all cores' time that went to something else right before
    tables: list[Table]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> "Result":
        values = json.loads(path.read_text(encoding="utf-8"))
        for table in values["tables"]:
            table["comparisons"] = [Comparison(**entry) for entry in table["comparisons"]]
        return Result(**values | {"tables": [Table(**table) for table in values["tables"]]})


def holds(comparison: Comparison, ratio: float) -> bool:
    relation, limit = comparison.goal.split()
    return ratio >= float(limit) if relation == "≥" else ratio <= float(limit)


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, least, greatest."""
    return median(values), min(values), max(values)

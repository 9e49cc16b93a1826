"""BENCHMARKS.md from the results of the jobs."""

from pathlib import Path

from results import Comparison, Result, Table, holds, spread

INTRODUCTION = """\
# Benchmarks

Written by `scripts/bench/run.sh`. All sides run on the same machine and in turn (A B A B …), each with its own
default of threads. Absolute figures drift by the hour on a shared machine; a ratio is of two runs of the same round,
and the table gives its median over the rounds; spreads are from the least to the greatest. Weights are random, in the
shapes of klue/roberta; the tokenizer is klue/roberta's and the sentences are real. Before encoding is timed, all sides'
vectors are compared; of training, the losses are. Goals are the project's own, set before anything was measured. A run
replaces the section of its own kind of processor.
"""


HEADING = "## Processors with "


def report(before: str, kind: str, section: str) -> str:
    """The file with the section of this kind of processor, new or in place of an older one; the others stay."""
    sections = {text.split("\n", 1)[0]: HEADING + text for text in before.split(f"\n{HEADING}")[1:]}
    sections[kind] = section
    return "\n".join([INTRODUCTION, *(text.rstrip("\n") + "\n" for text in sections.values())])


def section_of(kind: str, machine: str, versions: dict[str, str], results: list[Result]) -> str:
    parts = [f"{HEADING}{kind}\n", f"Machine: {machine}.\n", "| side | versions |\n|---|---|"]
    parts += [f"| {name} | {text} |" for name, text in versions.items()]
    for result in results:
        run = f"{result.date}, commit {result.commit}, `{result.command}`"
        run += f"; before it, the cores were {result.busy:.0%} busy."
        parts += [f"\n### {result.title}\n", result.about, f"\n{run}"]
        for table in result.tables:
            parts.append(section(table))
    return "\n".join(parts) + "\n"


def section(table: Table) -> str:
    lines = [f"\n#### {table.title}\n"]
    if table.note:
        lines.append(table.note + "\n")
    lines += [f"| side | {table.unit} | spread | runs |", "|---|---:|---:|---:|"]
    for name, values in table.sides.items():
        middle, low, high = map(figure, spread(values))
        lines.append(f"| {name} | {middle} | {between(low, high, values)} | {len(values)} |")
    if comparisons := table.known():
        lines += ["", "| | beside | ratio | spread | goal | |", "|---|---|---:|---:|---:|---|"]
        lines += [compared(table, comparison) for comparison in comparisons]
    return "\n".join(lines)


def compared(table: Table, comparison: Comparison) -> str:
    ratios = table.ratios(comparison)
    middle, low, high = spread(ratios)
    reached = ("reached" if holds(comparison, middle) else "not reached") if comparison.goal else ""
    range_ = between(f"{low:.2f}", f"{high:.2f}", ratios)
    return f"| {comparison.side} | {comparison.beside} | {middle:.2f} | {range_} | {comparison.goal} | {reached} |"


def between(low: str, high: str, values: list[float]) -> str:
    return f"{low}–{high}" if len(values) > 1 else ""


def figure(value: float) -> str:
    """Three digits or more, without an exponent where it can be read without."""
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def load_all(folder: Path, order: list[str]) -> list[Result]:
    """The results that are there, in an order of file names without extension."""
    return [Result.load(path) for path in (folder / f"{name}.json" for name in order) if path.exists()]

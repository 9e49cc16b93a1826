"""The sentences and pairs of the benchmark, from KorSTS and KLUE-STS. Needs no package."""

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path

SEED = 42
# What a user compares: about 13 tokens each.
TYPICAL_PAIR = ("한 남자가 무대 위에서 기타를 치며 노래를 부르고 있다.", "남자가 무대에서 기타를 연주하면서 노래한다.")

Pair = tuple[str, str, float]


def kor_sts_test(data: Path) -> list[str]:
    """The distinct sentences of both sides, in a fixed random order."""
    with open(data / "kor-sts" / "sts-test.tsv", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)  # a quote is text there
        texts = [row[column] for row in rows for column in ("sentence1", "sentence2")]
    return shuffled(list(dict.fromkeys(texts)))


def klue_sts_train(data: Path) -> list[Pair]:
    """The pairs, in a fixed random order."""
    folder = data / "klue-sts"
    table = folder / "klue-sts-v1.1_train.csv"
    if table.exists():
        with open(table, encoding="utf-8", newline="") as file:
            return shuffled([(row["sentence1"], row["sentence2"], float(row["label"])) for row in csv.DictReader(file)])
    rows = json.loads((folder / "klue-sts-v1.1_train.json").read_text(encoding="utf-8"))
    return shuffled([(row["sentence1"], row["sentence2"], row["labels"]["real-label"]) for row in rows])


def shuffled(items: list) -> list:
    random.Random(SEED).shuffle(items)
    return items


def many_sentences(data: Path) -> Iterator[str]:
    """Distinct sentences without end: the first half of one real sentence's words and the second half of another's."""
    real = kor_sts_test(data) + [text for pair in klue_sts_train(data) for text in pair[:2]]
    chance, seen = random.Random(SEED), set()
    while True:
        first, second = (text.split() for text in chance.sample(real, 2))
        text = " ".join(first[: (len(first) + 1) // 2] + second[len(second) // 2 :])
        if text not in seen:
            seen.add(text)
            yield text


def write_lines(path: Path, texts: list[str] | tuple[str, ...]) -> Path:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def write_pairs(path: Path, pairs: list[Pair]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("sentence1", "sentence2", "label"))
        writer.writerows(pairs)
    return path

"""JSON as the fixtures hold it: readable in a diff, and no invisible character in the text."""

import json
from pathlib import Path
from typing import Any

import numpy as np


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(escape(layout(value)) + "\n", encoding="utf-8")


def escape(text: str) -> str:
    """JSON escapes for what an editor would hide or reorder; Korean stays readable."""

    def utf16_units(character: str) -> str:
        code = character.encode("utf-16-be").hex()
        return "".join(f"\\u{code[i : i + 4]}" for i in range(0, len(code), 4))

    return "".join(c if c.isprintable() or c == "\n" else utf16_units(c) for c in text)


def layout(value: Any, indent: int = 0) -> str:
    """One line for a row of numbers, one line for each item of everything else."""
    pad = "  " * indent
    if isinstance(value, dict):
        items = [f"{json.dumps(key, ensure_ascii=False)}: {layout(item, indent + 1)}" for key, item in value.items()]
        opening, closing = "{", "}"
    elif isinstance(value, list) and (all(isinstance(v, str) for v in value) or any(isinstance(v, (list, dict)) for v in value)):
        items = [layout(item, indent + 1) for item in value]
        opening, closing = "[", "]"
    else:
        return json.dumps(value, ensure_ascii=False)
    if not items:
        return opening + closing
    return f"{opening}\n" + ",\n".join(f"{pad}  {item}" for item in items) + f"\n{pad}{closing}"


def float32(values: Any) -> list:
    """Nested lists of the shortest decimals that give the same f32."""
    array = np.asarray(values, dtype=np.float32)
    return [float32(row) for row in array] if array.ndim > 1 else [float(str(value)) for value in array]

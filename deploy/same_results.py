"""Whether two machines say the same of the same pictures: `same_results.py ONE.json OTHER.json`.

Both are what `edgeleuk analyze --json` printed. Cells are paired by their boxes; the same result has the same cells of the
same types, boxes within a pixel and probabilities within 0.02. Of two that `edgeleuk eval --json` printed every figure
must be the same. Exit code 0 for the same, 1 for not, with a line for each difference. Only the standard library is
needed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BOX_PX = 1.0
PROBABILITY = 0.02
"""Tolerances of this project: rounding of 8-bit networks differs between processors, what is read does not."""
PAIRED_PX = 20.0
"""Boxes further apart are of two cells: a quarter of a red cell at 0.1 um per pixel."""


@dataclass
class Differences:
    """Of two results, cell by cell."""

    missing: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    boxes: list[float] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)

    def add(self, other: Differences) -> None:
        self.missing += other.missing
        self.types += other.types
        self.boxes += other.boxes
        self.probabilities += other.probabilities


def cells_of(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {Path(image["path"]).name: image["cells"] for image in document["images"]}


def away(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest distance between two boxes' edges, pixels; infinite for cells of two kinds."""
    if one["kind"] != other["kind"]:
        return float("inf")
    return max(abs(a - b) for a, b in zip(one["box"], other["box"], strict=True))


def unlike(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest difference of a probability of two readings; 0 where none was read."""
    mine, its = one["probabilities"] or {}, other["probabilities"] or {}
    if mine.keys() != its.keys():
        return float("inf")
    return max((abs(mine[name] - its[name]) for name in mine), default=0.0)


def compare(name: str, ones: list[dict[str, Any]], others: list[dict[str, Any]]) -> Differences:
    """What differs in one picture."""
    found = Differences()
    left = list(others)
    for cell in ones:
        pair = min(left, key=lambda other: away(cell, other), default=None)
        distance = away(cell, pair) if pair else float("inf")
        where = f"{name}: {cell['label'] or cell['kind']} at {cell['box']}, score {cell['score']}"
        if pair is None or distance > PAIRED_PX:
            found.missing.append(f"{where} is here only")
            continue
        left.remove(pair)
        found.boxes.append(distance)
        found.probabilities.append(unlike(cell, pair))
        if cell["label"] != pair["label"]:
            found.types.append(f"{where} is {pair['label']} there")
    found.missing += [
        f"{name}: {o['label'] or o['kind']} at {o['box']}, score {o['score']} is there only" for o in left
    ]
    return found


def figures(value: Any, name: str = "") -> dict[str, Any]:
    """Every number and word of a document by its path, such as accuracy5.share."""
    if not isinstance(value, dict | list):
        return {name: value}
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    return {path: leaf for key, part in parts for path, leaf in figures(part, f"{name}.{key}").items()}


def compare_figures(one: Any, other: Any) -> int:
    mine, its = figures(one), figures(other)
    differ = [name for name in sorted(mine.keys() | its.keys()) if mine.get(name) != its.get(name)]
    print(f"{len(mine)} figures, {len(differ)} differ")
    for name in differ[:20]:
        print(f"       {name.removeprefix('.')}: {mine.get(name)} here, {its.get(name)} there")
    return 1 if differ else 0


def main(one: Path, other: Path) -> int:
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in (one, other)]
    if not any("images" in document for document in documents):
        return compare_figures(*documents)
    mine, its = map(cells_of, documents)
    if mine.keys() != its.keys():
        print(f"different pictures: {sorted(mine.keys() ^ its.keys())}")
        return 1
    every = Differences()
    for name in sorted(mine):
        every.add(compare(name, mine[name], its[name]))
    boxes, probabilities = sorted(every.boxes or [0.0]), sorted(every.probabilities or [0.0])
    far = sum(distance > BOX_PX for distance in boxes)
    off = sum(difference > PROBABILITY for difference in probabilities)
    white = sum(cell["label"] is not None for cells in mine.values() for cell in cells)
    print(
        f"{len(mine)} pictures, {sum(map(len, mine.values()))} cells, {white} white; {len(every.missing)} on one side only, "
        f"{len(every.types)} of another type; boxes: median {boxes[len(boxes) // 2]:.2f}, largest {boxes[-1]:.2f} px, "
        f"{far} beyond {BOX_PX:g}; probabilities: largest difference {probabilities[-1]:.4f}, {off} beyond {PROBABILITY:g}"
    )
    for line in [*every.missing, *every.types][:20]:
        print(f"       {line}")
    return 1 if every.missing or every.types or far or off else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

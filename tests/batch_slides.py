"""Slides of a batch for tests: simulated fields of few cells, painted once.

python tests/batch_slides.py DIR [SLIDES [FIELDS]]        a folder for each slide, of one field or more
"""

from __future__ import annotations

import copy
import csv
import json
import random
import sys
from pathlib import Path
from typing import Any

import cv2

from edgeleuk.simulation.smear import Smear, Stage

SIZE = 480, 360
"""Of a field, pixels: quick to analyse, with about thirty red cells."""
UM_PER_PX = 0.1
SMEARS = 12
"""Different smears; slides share them, at other places."""
MOST_FIELDS = 3
"""Of a slide; slides have one, two or three."""
PLACES = 1.5
"""Width and height of a smear, fields."""


def make(folder: Path, slides: int, most: int = MOST_FIELDS) -> list[Path]:
    """Write so many folders of slides, unless they are there; a slide has at most `most` fields."""
    stages: dict[int, Stage] = {}
    made = []
    for number in range(slides):
        target = folder / f"slide-{number:04d}"
        made.append(target)
        if target.is_dir():
            continue
        seed = number % SMEARS
        if seed not in stages:
            stages[seed] = _stage(seed)
        moves = random.Random(number)
        new = target.with_name(f".{target.name}")
        new.mkdir(parents=True, exist_ok=True)
        for field in range(1 + number % most):
            stage = stages[seed]
            x1, y1, x2, y2 = stage.limits_um
            stage.move_to(moves.uniform(x1, x2), moves.uniform(y1, y2))
            pixels = cv2.cvtColor(stage.field().pixels, cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(new / f"field-{field}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])
        new.rename(target)
    return made


def _stage(seed: int) -> Stage:
    width, height = (side * UM_PER_PX * PLACES for side in SIZE)
    smear = Smear.place(seed, width, height, {"neutrophil": 2, "lymphocyte": 1})
    return Stage(smear, UM_PER_PX, SIZE)


TIMES = (
    ("result", "id"),
    ("result", "started"),
    ("result", "ended"),
    ("images", "at"),
    ("images", "seconds"),
)
"""What differs between two counts of the same slide: a random id, and times."""


def essence(document: dict[str, Any]) -> dict[str, Any]:
    """A result without what differs by design between two counts of the same slide."""
    told = copy.deepcopy(document)
    for part, key in TIMES:
        for each in told[part] if isinstance(told[part], list) else [told[part]]:
            del each[key]
    return told


def results(out: Path) -> dict[str, dict[str, Any]]:
    """The essence of every result of a batch, by slide."""
    found = {}
    for path in sorted(out.glob("results/*/*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        assert document["result"]["slide"] not in found
        found[document["result"]["slide"]] = essence(document)
    return found


def rows(out: Path, name: str = "slides.csv") -> list[dict[str, str]]:
    """The rows of a batch's table."""
    with (out / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    print(len(make(Path(sys.argv[1]), *map(int, sys.argv[2:] or ["500"]))))

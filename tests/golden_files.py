"""Golden documents: what of a result is kept, and how it is written.

A document is what `edgeleuk analyze --json` prints, without what no two runs share (ids, times, durations, folders) and
without what changes with every release (versions, hashes, fixed notices and sources). Beside it stand the white cells as they
count, each read from all its pictures, and every measure of quality, also those of pictures without fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeleuk.results.slide_result import SlideResult
from edgeleuk.types import WHITE_CELL

FOLDER = Path(__file__).parent / "golden"
LARGEST = 300_000
"""Bytes of a golden file at most."""
LEFT_OUT = {
    "edgeleuk", "notice", "result", "model", "at", "seconds", "sources", "fresh", "overlay", "left_out",
}  # fmt: skip
"""Keys that are not kept, wherever they stand; `fresh` says the same of a cell as `counted`, the last two name files."""
ROW = ("kind", "box", "score", "whole", "counted", "cell")
"""What is known of a cell that was not read, in a golden file's order."""
UNREAD = ("number", "label", "probability", "probabilities", "attributes", "morphometry")
"""What is not known of it."""


def essence(document: Mapping[str, Any]) -> dict[str, Any]:
    """What golden files keep of the document of `analyze --json`."""
    kept = _kept(document)
    for image in kept["images"]:
        image["cells"].sort(key=lambda cell: (cell["kind"] != WHITE_CELL, cell["kind"], cell["box"]))
    for flag in kept["differential"]["flags"]:
        flag["places"].sort(key=lambda place: (place["field"], place["box"]))
    return kept


def read_together(result: SlideResult) -> list[dict[str, Any]]:
    """The white cells of a slide as they count: once each, read from all pictures that show them."""
    return [
        {
            "path": Path(field.name).name,
            "kind": cell.kind,
            "box": [round(side, 2) for side in cell.box],
            "label": cell.reading.label,
            "probability": round(cell.reading.probability, 4),
        }
        for field in result.fields
        for cell in sorted(field.of(WHITE_CELL), key=lambda cell: cell.box)
        if cell.reading
    ]


def _kept(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: Path(each).name
            if key in ("path", "other_path", "copy_of", "field") and each
            else _kept(each)
            for key, each in value.items()
            if key not in LEFT_OUT
        }
    if isinstance(value, list | tuple):
        return [_kept(each) for each in value]
    if isinstance(value, str):
        return re.sub(r"(?:/[^\s/]+)+/", "", value)
    return float(f"{value:.6g}") if isinstance(value, float) else value


# Files


def path_of(name: str) -> Path:
    """The golden file of a case."""
    return FOLDER / f"{name}.json"


def read(name: str) -> dict[str, Any]:
    """A golden document; empty where there is no such file."""
    path = path_of(name)
    return _unpacked(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def written(document: Mapping[str, Any]) -> str:
    """The text of a golden file: one cell, share or frame a line."""
    return _text(_packed(document), "") + "\n"


def _packed(document: Mapping[str, Any]) -> dict[str, Any]:
    """With a short row for each cell that was not read: there are two thousand on a slide."""
    images = [{**each, "cells": [_row(cell) for cell in each["cells"]]} for each in document["images"]]
    return {**document, "images": images}


def _unpacked(document: Mapping[str, Any]) -> dict[str, Any]:
    images = [{**each, "cells": [_cell(row) for row in each["cells"]]} for each in document["images"]]
    return {**document, "images": images}


def _row(cell: dict[str, Any]) -> Any:
    unread = {*cell} == {*ROW, *UNREAD} and all(cell[key] is None for key in UNREAD)
    return [cell[key] for key in ROW] if unread else cell


def _cell(row: Any) -> dict[str, Any]:
    return row if isinstance(row, dict) else dict(zip(ROW, row, strict=True)) | dict.fromkeys(UNREAD)


def _text(value: Any, margin: str) -> str:
    flat = json.dumps(value)
    if not isinstance(value, dict | list) or len(flat) <= 110 or is_cell(value):
        return flat
    inner = f"{margin} "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(key)}: {_text(each, inner)}" for key, each in value.items()]
    else:
        parts = [f"{inner}{_text(each, inner)}" for each in value]
    first, last = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([first, ",\n".join(parts), f"{margin}{last}"])


def is_cell(value: Any) -> bool:
    """Whether a value of a document has a place in a picture."""
    return isinstance(value, dict) and "box" in value

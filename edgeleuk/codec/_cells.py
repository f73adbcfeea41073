"""Cells as columns: a slide of 53,000 is two megabytes of numbers, and as many as that again in objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeleuk.codec._checks import at_least, finite, require, share
from edgeleuk.types import Cell, Morphometry, Reading

CELLS = np.dtype([("kind", "<u2"), ("box", "<f8", 4), ("score", "<f8"), ("whole", "u1")])
"""A cell: index into the kinds, x1 y1 x2 y2 in pixels, score, whole or cut. Doubles are exact for any source; the finder's
numbers have 24 bits, and deflation takes the rest away."""
SEEN = np.dtype([("identity", "<i8"), ("fresh", "u1")])
"""What a cell is on the slide map: its number there, and whether it was seen for the first time."""


class Examined(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a cell beyond its box."""

    reading: Reading | None
    morphometry: Morphometry | None
    number: int = 0
    """Of a white cell in its picture; records before version 2 have none."""


class Cells(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cells of one field."""

    count: int
    kinds: tuple[str, ...]
    columns: bytes
    """CELLS."""
    examined: dict[int, Examined]
    """By index, the cells that were read, measured or numbered."""

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Cells:
        kinds = {kind: i for i, kind in enumerate(dict.fromkeys(cell.kind for cell in cells))}
        rows = [(kinds[cell.kind], cell.box, cell.score, cell.whole) for cell in cells]
        examined = {
            i: Examined(cell.reading, cell.morphometry, cell.number)
            for i, cell in enumerate(cells)
            if cell.reading or cell.morphometry or cell.number
        }
        return cls(len(cells), tuple(kinds), to_bytes(np.array(rows, CELLS)), examined)

    def check(self) -> None:
        """Raises ValueError where a number is out of its range."""
        columns = from_bytes(self.columns, CELLS, self.count)
        box = columns["box"]
        require(bool((columns["kind"] < len(self.kinds)).all()), "a cell is of no kind")
        require(bool((columns["whole"] <= 1).all()), "a cell is neither whole nor cut")
        require(bool(np.isfinite(box).all()), "a box is not finite")
        require(bool((box[:, :2] <= box[:, 2:]).all()), "a box ends before it begins")
        share(columns["score"], "a score")
        require(all(0 <= i < self.count for i in self.examined), "a reading is of no cell")
        for each in self.examined.values():
            at_least(0, each.number, "a cell's number")
            if each.reading is not None:
                _check_reading(each.reading)
            if each.morphometry is not None:
                _check_morphometry(each.morphometry)

    def value(self) -> tuple[Cell, ...]:
        rows = from_bytes(self.columns, CELLS, self.count).tolist()
        cells = [Cell(self.kinds[kind], tuple(box), score, bool(whole)) for kind, box, score, whole in rows]
        for i, each in self.examined.items():
            cells[i] = replace(
                cells[i], reading=each.reading, morphometry=each.morphometry, number=each.number
            )
        return tuple(cells)


def _check_reading(reading: Reading) -> None:
    share([reading.probability, *reading.probabilities.values()], "a probability")
    share([each.probability for each in reading.attributes.values()], "an attribute's probability")


def _check_morphometry(measured: Morphometry) -> None:
    for name in ("diameter_um", "cell_area_um2", "nucleus_area_um2", "nc_ratio", "lobes"):
        if (value := getattr(measured, name)) is not None:
            at_least(0, value, name)
            finite(name, value)


def to_bytes(columns: NDArray[np.void]) -> bytes:
    """Rows (N,) byte by byte: first bytes of all, second bytes of all, ... What is alike stands together for zlib."""
    size = columns.dtype.itemsize
    return columns.view(np.uint8).reshape(len(columns), size).T.tobytes()


def from_bytes(data: bytes, rows: np.dtype[Any], count: int) -> NDArray[np.void]:
    """`count` rows of what `to_bytes` wrote; ValueError where it is not as long."""
    require(count >= 0 and len(data) == count * rows.itemsize, "there are fewer or more cells than it says")
    turned = np.frombuffer(data, np.uint8).reshape(rows.itemsize, count).T
    return np.ascontiguousarray(turned).reshape(-1).view(rows)

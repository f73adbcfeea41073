"""Cells of a field as binary columns.

A slide of 53,000 cells has two megabytes of numbers; as objects they would take as much again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeleuk.results.codec._checks import at_least, finite, require, share
from edgeleuk.types import Cell, Morphometry, Reading

CELLS = np.dtype([("kind", "<u2"), ("box", "<f8", 4), ("score", "<f8"), ("whole", "u1")])
"""Row of one cell.

`kind`: index into the cell classes. `box`: x1 y1 x2 y2, pixels. `whole`: 1 for whole, 0 for cut. Doubles are
exact for any source; the finder's numbers have 24 bits, and compression removes the rest.
"""
SEEN = np.dtype([("identity", "<i8"), ("fresh", "u1")])
"""Row of one cell's place on the slide map.

`identity`: number of the cell on the map. `fresh`: whether this field was the first to show it.
"""


class Examined(msgspec.Struct, frozen=True, array_like=True):
    """Reading, morphometry and number of a cell."""

    reading: Reading | None
    morphometry: Morphometry | None
    number: int = 0
    """Number of the white cell, or 0.

    White cells are numbered within their picture. Records before version 2 have no numbers.
    """


class Cells(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cells of one field."""

    count: int
    kinds: tuple[str, ...]
    columns: bytes
    """Rows of type CELLS, see `to_bytes`."""
    examined: dict[int, Examined]
    """Cells that were read, measured or numbered, by index."""

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
        """Check that all numbers are in range.

        Raises:
            ValueError: A number is out of range.
        """
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
    if reading.familiarity is not None:
        share([reading.familiarity], "a familiarity")


def _check_morphometry(measured: Morphometry) -> None:
    for name in ("diameter_um", "cell_area_um2", "nucleus_area_um2", "nc_ratio", "lobes"):
        if (value := getattr(measured, name)) is not None:
            at_least(0, value, name)
            finite(name, value)


def to_bytes(columns: NDArray[np.void]) -> bytes:
    """Return structured rows (N,) as byte columns.

    First come the first bytes of all rows, then all second bytes, and so on. Similar bytes are adjacent, so
    zlib compresses them better.
    """
    size = columns.dtype.itemsize
    return columns.view(np.uint8).reshape(len(columns), size).T.tobytes()


def from_bytes(data: bytes, rows: np.dtype[Any], count: int) -> NDArray[np.void]:
    """Restore the rows that `to_bytes` wrote.

    Args:
        data: Bytes written by `to_bytes`, `count * rows.itemsize` long.
        rows: Structured type of one row.
        count: Number of rows.

    Returns:
        Array (count,) of type `rows`.

    Raises:
        ValueError: `data` has another length.
    """
    require(count >= 0 and len(data) == count * rows.itemsize, "there are fewer or more cells than it says")
    turned = np.frombuffer(data, np.uint8).reshape(rows.itemsize, count).T
    return np.ascontiguousarray(turned).reshape(-1).view(rows)

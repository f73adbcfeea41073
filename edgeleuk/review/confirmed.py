"""Cells whose label a person gave or confirmed.

They come with the pictures that a session keeps of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from edgeleuk.review.review import Review, ReviewedCell
from edgeleuk.slidemap import CROP_UM
from edgeleuk.types import UNCLASSIFIED, CountedField


@dataclass(frozen=True, slots=True)
class ConfirmedCell:
    """White cell with a person's label."""

    label: str
    picture: bytes
    """JPEG, square, the cell in the middle."""
    side_um: float = CROP_UM
    """Side of the picture, um."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Confirmed cells of one slide."""

    cells: tuple[ConfirmedCell, ...]
    without_picture: int
    """Confirmed cells whose picture is not in the file any more."""
    um_per_px: float | None
    """Median scale of the slide's fields; None if it has none."""


def confirmed(review: Review, counted: Iterable[CountedField]) -> Confirmed:
    """Return the cells of a review that a person labelled or confirmed.

    A label that an operator gave while counting is one of them. A cell that not even a person could tell is
    not.

    Args:
        review: Review of a session.
        counted: Fields of the session with their pictures, one at a time.
    """
    wanted: defaultdict[int, list[tuple[int, ReviewedCell]]] = defaultdict(list)
    for cell in review.cells.values():
        if (cell.sure or cell.mark) and cell.label not in (None, UNCLASSIFIED):
            number, index = cell.picture
            wanted[number].append((index, cell))
    cells, scales = [], []
    for each in counted:
        scales.append(each.field.scale.um_per_px)
        for index, cell in wanted[each.number]:
            if picture := each.crops.get(index):
                cells.append(ConfirmedCell(cell.label or "", picture))
    missing = sum(map(len, wanted.values())) - len(cells)
    return Confirmed(tuple(cells), missing, sorted(scales)[len(scales) // 2] if scales else None)

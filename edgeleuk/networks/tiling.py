"""Tiling of large pictures for a network.

Each tile reports the cells whose middles lie in its share of the picture, which ends in the middle of its
overlap with the neighbours: a cell that a tile's edge cuts comes from the neighbour that shows it whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeleuk.models.manifest import Tiling
from edgeleuk.types import Boxes


@dataclass(frozen=True, slots=True)
class Span:
    """Extent of a tile along one axis, pixels."""

    start: int
    end: int
    low: float
    """Start of the tile's share.

    It is the picture's edge, so that nothing comes from the padding, or a seam before the middle of the
    overlap with the tile before.
    """
    high: float
    """End of the tile's share, likewise."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Window of a picture."""

    across: Span
    down: Span

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the tile."""
        return slice(self.down.start, self.down.end), slice(self.across.start, self.across.end)

    @property
    def corner(self) -> tuple[int, int]:
        """Upper left corner in the picture, x and y."""
        return self.across.start, self.down.start

    def own(self, boxes: Boxes) -> NDArray[np.bool_]:
        """Return which boxes have their middles in the tile's share.

        (N,) for boxes (N, 4), pixels of the picture.
        """
        x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).T
        across, down = self.across, self.down
        owned: NDArray[np.bool_] = (x >= across.low) & (x < across.high) & (y >= down.low) & (y < down.high)
        return owned


def tiles(width: int, height: int, by: Tiling) -> Iterator[Tile]:
    """Cut a picture into tiles, row by row.

    Of all ways to cut it into tiles of at most `by.largest` pixels, the one with the least overlap in pixels
    is used.

    Args:
        width: Width of the picture, pixels.
        height: Height of the picture, pixels.
        by: Tile sizes.
    """
    columns, rows = _cut(width, height, by)
    for down in _spans(height, rows, by):
        for across in _spans(width, columns, by):
            yield Tile(across, down)


def _cut(width: int, height: int, by: Tiling) -> tuple[int, int]:
    """Return the best numbers of columns and rows."""
    best, least = (0, 0), 0
    for columns in range(1, 2 + width // by.overlap):
        wide = _side(width, columns, by)
        tallest = by.largest // wide // by.alignment * by.alignment
        if height <= by.largest // wide:
            rows = 1
        elif tallest > by.overlap:
            rows = -(-(height - by.overlap) // (tallest - by.overlap))
        else:
            continue
        area = columns * rows * wide * _side(height, rows, by)
        if not least or area < least:
            best, least = (columns, rows), area
    return best


def _side(length: int, count: int, by: Tiling) -> int:
    """Return the side of `count` tiles that cover a length, pixels."""
    if count == 1:
        return length
    return -(-(length + (count - 1) * by.overlap) // (count * by.alignment)) * by.alignment


def _spans(length: int, count: int, by: Tiling) -> list[Span]:
    side = _side(length, count, by)
    starts = (
        (np.ceil(np.linspace(0, length - side, count) / by.alignment) * by.alignment).astype(int).tolist()
    )
    ends = [min(start + side, length) for start in starts]
    middles = [(start + end) / 2 for start, end in zip(starts[1:], ends, strict=False)]
    lows, highs = (
        [0.0, *(middle - by.seam for middle in middles)],
        [*(middle + by.seam for middle in middles), length],
    )
    return [Span(*each) for each in zip(starts, ends, lows, highs, strict=True)]

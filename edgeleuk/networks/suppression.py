"""Greedy non-maximum suppression of tens of thousands of boxes.

Best first, a box is kept unless a kept one overlaps it too much. Tested box by box, as OpenCV does it, the
time grows with the product of all boxes and the kept ones: 2.4 s for a 10x field of 5000 cells. But only
neighbours overlap, and which of them are suppressed is decided everywhere at once: 0.2 s.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import Boxes

Indices = NDArray[np.int64]
PAIRS = 1 << 19
"""Number of neighbour pairs processed at a time.

Their intermediate arrays take 60 MB.
"""

SOUGHT = (1e-12, 0.99)
"""Limits of the overlap used to search neighbours.

At 0 and 1 the sizes and squares of the search have no limit.
"""


def suppress(boxes: Boxes, scores: NDArray[np.float32], kinds: Indices, iou: float) -> Indices:
    """Return indices of the boxes to keep, best score first.

    Args:
        boxes: (N, 4) boxes, pixels.
        scores: (N,) scores.
        kinds: (N,) class indices; boxes suppress only boxes of their own class.
        iou: Maximum intersection over union of two kept boxes, 0 to 1.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, their_kinds = boxes[order].astype(np.float64), kinds[order]
    stays = np.zeros(len(order), np.bool_)
    for kind in np.unique(their_kinds):
        mine = np.flatnonzero(their_kinds == kind)
        better, worse = _overlapping(ranked[mine], iou)
        stays[mine] = _resolved(len(mine), better, worse)
    return order[stays].astype(np.int64)


def unnested(boxes: Boxes, scores: NDArray[np.float32], share: float) -> NDArray[np.bool_]:
    """Return which boxes remain after merging nested ones.

    Two boxes are nested if at least `share` of the smaller lies in the other; the better score is kept. A box
    around two cells that it shares with better boxes is removed; so is one around a part of a cell whose
    whole has the better score.

    Args:
        boxes: (N, 4) boxes of one class, pixels.
        scores: (N,) scores.
        share: Minimum share of the smaller box inside the other, 0 to 1.

    Returns:
        (N,) bool.
    """
    order = np.argsort(-scores, kind="stable")
    better, worse = _nested(boxes[order].astype(np.float64), share)
    stays = np.ones(len(order), np.bool_)
    stays[order] = _resolved(len(order), better, worse)
    return stays


def _nested(boxes: NDArray[np.float64], share: float) -> tuple[Indices, Indices]:
    """Return pairs of nested boxes, the better-ranked first.

    Of boxes (N, 4), with at least `share` of the smaller in the other.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    found = [(_NONE, _NONE)]
    rows = max(1, PAIRS // max(len(boxes), 1))
    for start in range(0, len(boxes), rows):
        some = boxes[start : start + rows, None]
        shared = (np.minimum(some[..., 2:], boxes[:, 2:]) - np.maximum(some[..., :2], boxes[:, :2])).clip(0)
        smaller = np.minimum(areas[start : start + rows, None], areas)
        inside = (shared.prod(axis=2) >= share * smaller) & (smaller > 0)
        first, second = np.nonzero(np.triu(inside, start + 1))
        found.append((first + start, second))
    first, second = (np.concatenate(each) for each in zip(*found, strict=True))
    return first, second


def _overlapping(boxes: NDArray[np.float64], iou: float) -> tuple[Indices, Indices]:
    """Return pairs of boxes whose overlap exceeds `iou`.

    Of boxes (N, 4), the better-ranked first. Two boxes cannot exceed it if one's long side is shorter than
    that share of the other's: pairs are searched by size.
    """
    found = [(_NONE, _NONE)]
    near = float(np.clip(iou, *SOUGHT))
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1).clip(1e-6)
    size = np.floor(np.log(longest) / -np.log(near)).astype(np.int64)
    for each in np.unique(size):
        mine = np.flatnonzero((size == each) | (size == each + 1))
        for first, second in _neighbours(boxes[mine], near):
            one, other = mine[first], mine[second]
            here = (size[one] == each) | (size[other] == each)  # other pairs come with the next size
            found.append(_beyond(boxes, one[here], other[here], iou))
    first, second = (np.concatenate(each) for each in zip(*found, strict=True))
    return np.minimum(first, second), np.maximum(first, second)


_NONE: Indices = np.empty(0, np.int64)


def _neighbours(boxes: NDArray[np.float64], iou: float) -> Iterator[tuple[Indices, Indices]]:
    """Return pairs of boxes that may overlap by more than `iou`.

    Each pair once, about PAIRS at a time.

    Sides a and b whose middles are d apart share (a + b) / 2 - d of a + b less that. For a share above t, d
    is less than (a + b) (1 - t) / (2 (1 + t)); so boxes that may overlap lie in the same or in touching
    squares of that side.
    """
    square = float((boxes[:, 2:] - boxes[:, :2]).max()) * (1 - iou) / (1 + iou) * (1 + 1e-9)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    places = ((middles - middles.min(axis=0)) // max(square, 1e-6)).astype(np.int64)
    width = int(places[:, 0].max()) + 3  # an empty square at both ends of each row of squares
    key = places[:, 1] * width + places[:, 0] + 1
    order = np.argsort(key, kind="stable")
    key = key[order]
    # Pairs with later boxes in the same and the next square; then with three squares of the next row.
    reaches = (
        (np.arange(1, len(key) + 1), np.searchsorted(key, key + 1, "right")),
        (np.searchsorted(key, key + width - 1), np.searchsorted(key, key + width + 1, "right")),
    )
    for begin, end in reaches:
        number = end - begin
        total = np.cumsum(number)
        start = 0
        while start < len(number):
            before = int(total[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(total, before + PAIRS)))
            some = number[start:stop]
            steps = np.arange(int(some.sum())) - np.repeat(np.cumsum(some) - some, some)
            first = np.repeat(order[start:stop], some)
            yield first, order[np.repeat(begin[start:stop], some) + steps]
            start = stop


def _beyond(
    boxes: NDArray[np.float64], first: Indices, second: Indices, iou: float
) -> tuple[Indices, Indices]:
    """Return the pairs whose intersection over union exceeds `iou`."""
    a, b = boxes[first], boxes[second]
    shared = (np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])).clip(0).prod(axis=1)
    both = (a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - shared
    over = np.divide(shared, both, out=np.zeros_like(both), where=both > 0) > iou
    return first[over], second[over]


def _resolved(number: int, better: Indices, worse: Indices) -> NDArray[np.bool_]:
    """Return which of `number` ranked boxes are kept.

    Of each pair (`better`, `worse`) only one may be. A box that no undecided box can still suppress is kept,
    and what it suppresses is removed, until all is decided. Each round decides at least the best of the
    undecided.
    """
    stays = np.zeros(number, np.bool_)
    undecided = np.ones(number, np.bool_)
    while undecided.any():
        free = undecided.copy()
        free[worse] = False
        stays |= free
        undecided &= ~free
        undecided[worse[free[better]]] = False
        open_pairs = undecided[better] & undecided[worse]
        better, worse = better[open_pairs], worse[open_pairs]
    return stays

"""Which cells of a field are on the map already: the same thing at the same place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import Box, CountedField, Placement, Scale

WHITE_CELL, PLATELET = "WBC", "Platelet"

SQUARE_UM = 40.0
"""Side of the squares that the map's cells are filed by."""
APART = 0.5
"""Two boxes of one thing have their middles within this share of the larger one's mean side. Red cells that overlap as
far as the finder can tell them apart are 0.6 of their diameter apart."""
INSIDE = 0.6
"""Or, where the edge of a field cuts one of them, so much of the smaller lies within the larger."""
SLACK_UM = 1.0
"""Registration and the finder's boxes are good to less."""


@dataclass(slots=True)
class Known:
    """One thing on the map. It has a box where it was seen best, and everywhere it was seen."""

    identity: int
    island: int
    kind: str
    box_um: Box
    """x1 y1 x2 y2 on its island."""
    whole: bool
    score: float
    sightings: list[tuple[CountedField, int]] = field(default_factory=list)
    """Counted fields and its index among their cells, the first one first."""

    def seen(self, kind: str, box_um: Box, whole: bool, score: float) -> None:
        """Another view: what shows it whole, and among those the surest, says what it is and where."""
        if (whole, score) > (self.whole, self.score):
            self.kind, self.box_um, self.whole, self.score = kind, box_um, whole, score


class Register:
    """The things of one map by place. Finding those near a field takes no longer on a large map than on a small one."""

    def __init__(self) -> None:
        self.known: dict[int, Known] = {}
        self._squares: defaultdict[tuple[int, int, int], set[int]] = defaultdict(set)
        self._next = 1

    def new_identity(self) -> int:
        """A number that no thing of this map has had."""
        self._next += 1
        return self._next - 1

    def put(self, thing: Known) -> None:
        """File a thing by its place; also where its place has changed."""
        self.known[thing.identity] = thing
        self._next = max(self._next, thing.identity + 1)
        for square in _squares(thing.island, thing.box_um):
            self._squares[square].add(thing.identity)

    def near(self, island: int, boxes_um: NDArray[np.float64]) -> list[Known]:
        """Everything that may touch the rectangle around boxes (N, 4), by identity."""
        around = (*boxes_um[:, :2].min(axis=0), *boxes_um[:, 2:].max(axis=0))
        found = {i for square in _squares(island, around, SLACK_UM) for i in self._squares.get(square, ())}
        things = (self.known.get(i) for i in sorted(found))  # None: merged with another
        return [thing for thing in things if thing and thing.island == island]

    def move_island(self, island: int, to: int, place: Placement) -> None:
        """Put all things of an island on another one: its origin lies at `place` there."""
        for thing in [each for each in self.known.values() if each.island == island]:
            thing.island = to
            thing.box_um = placed(np.array([thing.box_um]), place)[0]
            self.put(thing)

    def merge(self, kept: int, gone: int) -> None:
        """Two identities turn out to be one thing."""
        thing, other = self.known[kept], self.known.pop(gone)
        thing.sightings = sorted([*thing.sightings, *other.sightings], key=lambda each: each[0].number)
        thing.seen(other.kind, other.box_um, other.whole, other.score)


def boxes_on_map(boxes: NDArray[np.float64], scale: Scale, place: Placement) -> NDArray[np.float64]:
    """Boxes (N, 4) of a frame, pixels, as boxes on its island, micrometres."""
    um = boxes * np.array([scale.um_per_px_x, scale.um_per_px_y] * 2)
    return np.array(placed(um, place), np.float64).reshape(-1, 4)


def placed(boxes_um: NDArray[np.float64], place: Placement) -> list[Box]:
    """Boxes (N, 4) in micrometres from a frame's corner, as boxes of the same size on its island."""
    cos, sin = np.cos(place.angle), np.sin(place.angle)
    middles = (boxes_um[:, :2] + boxes_um[:, 2:]) / 2 @ np.array([[cos, sin], [-sin, cos]])
    middles += np.array([place.x_um, place.y_um])
    half = (boxes_um[:, 2:] - boxes_um[:, :2]) / 2
    return [tuple(box) for box in np.concatenate([middles - half, middles + half], axis=1).tolist()]


def pair(
    kinds: Sequence[str], boxes_um: NDArray[np.float64], whole: Sequence[bool], known: Sequence[Known]
) -> dict[int, int]:
    """Which of a field's boxes (N, 4) are which known things: index among `kinds` to identity, each at most once.

    Nearest pairs first. A white cell and a platelet in one place are one thing of which the finder is not sure; other
    kinds do not pair.
    """
    if not known or not len(boxes_um):
        return {}
    theirs = np.array([thing.box_um for thing in known])
    distance = _distances(boxes_um, theirs)
    mean_side = _mean_sides(boxes_um)[:, None], _mean_sides(theirs)[None]
    close = distance <= APART * np.maximum(*mean_side) + (SLACK_UM / 2)
    cut = ~np.array(whole, bool)[:, None] | ~np.array([thing.whole for thing in known], bool)[None]
    close &= ~cut
    close |= cut & (_inside(boxes_um, theirs) >= INSIDE)
    close &= _may_be_one(kinds, [thing.kind for thing in known])
    rows, columns = np.nonzero(close)
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for i in np.argsort(distance[rows, columns], kind="stable"):
        row, identity = int(rows[i]), known[columns[i]].identity
        if row not in pairs and identity not in taken:
            pairs[row] = identity
            taken.add(identity)
    return pairs


def _squares(island: int, box: Sequence[float], slack: float = 0.0) -> Iterable[tuple[int, int, int]]:
    x1, y1, x2, y2 = (
        (value + step) // SQUARE_UM for value, step in zip(box, (-slack, -slack, slack, slack), strict=True)
    )
    return [(island, x, y) for x in range(int(x1), int(x2) + 1) for y in range(int(y1), int(y2) + 1)]


def _distances(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M) between middles."""
    steps = (boxes[:, None, :2] + boxes[:, None, 2:] - others[None, :, :2] - others[None, :, 2:]) / 2
    distances: NDArray[np.float64] = np.hypot(steps[..., 0], steps[..., 1])
    return distances


def _mean_sides(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    sides: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).mean(axis=1)
    return sides


def _inside(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M) of the smaller box's area, how much both share."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others)]
    share: NDArray[np.float64] = shared / np.maximum(np.minimum(areas[0][:, None], areas[1][None]), 1e-9)
    return share


def _may_be_one(kinds: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    mine, theirs = np.array(kinds)[:, None], np.array(others)[None]
    doubtful = (WHITE_CELL, PLATELET)
    may: NDArray[np.bool_] = (mine == theirs) | (np.isin(mine, doubtful) & np.isin(theirs, doubtful))
    return may

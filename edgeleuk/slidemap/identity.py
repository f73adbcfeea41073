"""Which cells of a field are on the map already: the same thing at the same place."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import PLATELET, WHITE_CELL, Cell, Placement, Scale

APART = 0.5
"""Two boxes of one thing have their middles within this share of the larger one's mean side. Red cells that overlap as
far as the finder can tell them apart are 0.6 of their diameter apart."""
INSIDE = 0.6
"""Or, where the edge of a field cuts one of them, so much of the smaller lies within the larger."""
SLACK_UM = 1.0
"""Registration and the finder's boxes are good to less."""
REACH_UM = 20.0
"""Around a field within which things may be those that it shows: half of the largest cell, and more."""

THING = np.dtype([
    ("island", "<i4"), ("kind", "u1"), ("whole", "?"), ("score", "<f8"), ("box", "<f8", 4), ("first", "<i4"), ("last", "<i4"),
])  # fmt: skip
"""One thing on the map: its island, 0 for none; index into the kinds; what its best view says: whole, score and x1 y1 x2 y2 on the
island, um; its first and last sighting."""
Things = NDArray[np.void]
"""(N,) THING."""
DOUBTFUL = 2
"""So many kinds, the first ones, are easily mistaken for each other."""
NEVER = -1
"""Stands for no sighting."""
NOTHING = 0
"""Stands for no thing."""


class Register:
    """The things of one map, as columns: a slide has tens of thousands of red cells, which nobody asks after one by one.

    A thing's number is its identity. It has a box where it was seen best, and everywhere it was seen: sightings are
    numbered as they come, field after field, and each knows the one before it of the same thing.
    """

    def __init__(self) -> None:
        self.kinds = [WHITE_CELL, PLATELET]
        self._things: Things = np.zeros(1, THING)  # identities are from 1
        self._known = 1
        self._before = np.zeros(0, np.int32)
        self._starts = [0]

    @property
    def next_identity(self) -> int:
        """The first number that no thing of this map has had."""
        return self._known

    def knows(self, identity: int) -> bool:
        """Whether a thing of this identity is on the map."""
        return identity < self._known and bool(self._things["island"][identity])

    def at(self, identities: NDArray[np.intp] | int) -> Things:
        """The things of these identities, a copy."""
        return self._things[identities]

    def seen(self, cells: Sequence[Cell], boxes_um: NDArray[np.float64], island: int) -> Things:
        """The cells of a field, with their boxes (N, 4) on its island, as things that are not on the map yet."""
        things = np.zeros(len(cells), THING)
        for name in dict.fromkeys(cell.kind for cell in cells):
            if name not in self.kinds:
                self.kinds.append(name)
        things["island"], things["box"] = island, boxes_um
        things["kind"] = [self.kinds.index(cell.kind) for cell in cells]
        things["whole"] = [cell.whole for cell in cells]
        things["score"] = [cell.score for cell in cells]
        return things

    def add(self, identities: Sequence[int], seen: Things) -> None:
        """A counted field with what each of its cells is, known or new, or NOTHING for a cell that does not count."""
        start, each = self._starts[-1], np.array(identities, np.intp)
        self._known = max(self._known, int(each.max(initial=0)) + 1)
        self._things = _longer(self._things, self._known)
        self._before = _longer(self._before, start + len(each))
        self._starts.append(start + len(each))
        counting = np.flatnonzero(each)
        sightings, each, seen = (start + counting).astype(np.int32), each[counting], seen[counting]
        new = self._things["island"][each] == 0
        seen["first"] = sightings
        self._before[sightings] = np.where(new, NEVER, self._things["last"][each])
        self._things[each[new]] = seen[new]
        self._look_again(each[~new], seen[~new])
        self._things["last"][each] = sightings

    def withdraw(self, position: int, identities: NDArray[np.intp]) -> None:
        """Forget that a counted field shows any of these things. What no other one shows is no longer on the map."""
        start, end = self._starts[position], self._starts[position + 1]
        for identity in identities.tolist():
            chain = self._chain(identity)
            others = [sighting for sighting in chain if not start <= sighting < end]
            if not others:
                self._things["island"][identity] = 0
            elif len(others) < len(chain):
                self._link(identity, others)

    def _link(self, identity: int, chain: list[int]) -> None:
        """Sightings, ascending, as those of a thing."""
        self._before[chain] = [NEVER, *chain[:-1]]
        self._things["first"][identity], self._things["last"][identity] = chain[0], chain[-1]

    def cells_of(self, position: int) -> int:
        """Number of cells of a counted field."""
        return self._starts[position + 1] - self._starts[position]

    def indices_first_seen_in(self, position: int) -> frozenset[int]:
        """Which cells of a counted field, by index, are things that it was the first to show."""
        first = self._things["first"][self.first_seen_in(position)] - self._starts[position]
        return frozenset(first.tolist())

    def _look_again(self, identities: NDArray[np.intp], seen: Things) -> None:
        """Other views: what shows a thing whole, and among those the surest, says what it is and where."""
        known = self._things[identities]
        surer = (seen["whole"] == known["whole"]) & (seen["score"] > known["score"])
        better = (seen["whole"] > known["whole"]) | surer
        for name in ("kind", "box", "whole", "score"):
            self._things[name][identities[better]] = seen[name][better]

    def sightings(self, identity: int) -> list[tuple[int, int]]:
        """Where a thing was seen, the first one first: position of the counted field, index among its cells."""
        return [
            (at := bisect_right(self._starts, each) - 1, each - self._starts[at])
            for each in self._chain(identity)
        ]

    def _chain(self, identity: int) -> list[int]:
        found, at = [], int(self._things["last"][identity])
        while at != NEVER:
            found.append(at)
            at = int(self._before[at])
        return found[::-1]

    def first_field(self, identity: int) -> int:
        """Position of the counted field that showed a thing first."""
        return bisect_right(self._starts, int(self._things["first"][identity])) - 1

    def first_seen_in(self, position: int) -> NDArray[np.intp]:
        """Identities of the things that a counted field was the first to show."""
        first, known = self._things["first"][: self._known], self._things["island"][: self._known] > 0
        return np.flatnonzero(
            known & (first >= self._starts[position]) & (first < self._starts[position + 1])
        )

    def kinds_of(self, identities: Sequence[int] | NDArray[np.intp]) -> list[str]:
        """By name, in the order of the identities."""
        return [self.kinds[kind] for kind in self._things["kind"][identities].tolist()]

    def of_kind(self, kind: str) -> list[int]:
        """Identities of the things of a kind."""
        things = self._things[: self._known]
        same = (things["island"] > 0) & (things["kind"] == self.kinds.index(kind))
        found: list[int] = np.flatnonzero(same).tolist()
        return found

    def on(self, island: int) -> NDArray[np.intp]:
        """Identities of the things of an island."""
        return np.flatnonzero(self._things["island"][: self._known] == island)

    def near(self, island: int, boxes_um: NDArray[np.float64]) -> NDArray[np.intp]:
        """Identities of everything that may be in the rectangle around boxes (N, 4). A glance at every thing of the map:
        a tenth of a millisecond for ten thousand."""
        if not len(boxes_um):
            return np.empty(0, np.intp)
        low, high = boxes_um[:, :2].min(axis=0) - REACH_UM, boxes_um[:, 2:].max(axis=0) + REACH_UM
        there = self.on(island)
        boxes = self._things["box"][there]
        return there[(boxes[:, :2] <= high).all(axis=1) & (boxes[:, 2:] >= low).all(axis=1)]

    def move_island(self, island: int, to: int, place: Placement) -> None:
        """Put all things of an island on another one: its origin lies at `place` there."""
        movers = self.on(island)
        self._things["box"][movers] = placed(self._things["box"][movers], place)
        self._things["island"][movers] = to

    def merge(self, kept: int, gone: int) -> None:
        """Two identities turn out to be one thing."""
        chain = sorted([*self._chain(kept), *self._chain(gone)])
        self._look_again(np.array([kept]), self._things[[gone]])
        self._link(kept, chain)
        self._things["island"][gone] = 0


def _longer(array: NDArray[Any], length: int) -> NDArray[Any]:
    """An array (N,), with room for `length` and some more where it has too little."""
    if length <= len(array):
        return array
    longer = np.zeros(length + length // 4, array.dtype)
    longer[: len(array)] = array
    return longer


def boxes_on_map(boxes: NDArray[np.float64], scale: Scale, place: Placement) -> NDArray[np.float64]:
    """Boxes (N, 4) of a frame, pixels, as boxes on its island, micrometres."""
    um = boxes * np.array([scale.um_per_px_x, scale.um_per_px_y] * 2)
    return placed(um, place)


def placed(boxes_um: NDArray[np.float64], place: Placement) -> NDArray[np.float64]:
    """Boxes (N, 4) in micrometres from a frame's corner, as boxes on its island around the same ellipses."""
    middles = place.on_island((boxes_um[:, :2] + boxes_um[:, 2:]) / 2)
    half = np.sqrt(((boxes_um[:, 2:] - boxes_um[:, :2]) / 2) ** 2 @ (place.axes**2).T)
    return np.concatenate([middles - half, middles + half], axis=1)


def pair(mine: Things, known: Things) -> list[tuple[int, int]]:
    """Which of a field's things are which known ones: index among `mine` and among `known`, each at most once.

    Nearest pairs first. A white cell and a platelet in one place are one thing of which the finder is not sure; other
    kinds do not pair.
    """
    if not len(mine) or not len(known):
        return []
    boxes, theirs = mine["box"], known["box"]
    distance = _distances(boxes, theirs)
    mean_side = _mean_sides(boxes)[:, None], _mean_sides(theirs)[None]
    close = distance <= APART * np.maximum(*mean_side) + (SLACK_UM / 2)
    cut = ~mine["whole"][:, None] | ~known["whole"][None]
    close &= ~cut
    close |= cut & (_inside(boxes, theirs) >= INSIDE)
    close &= _may_be_one(mine["kind"], known["kind"])
    rows, columns = np.nonzero(close)
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for i in np.argsort(distance[rows, columns], kind="stable"):
        row, column = int(rows[i]), int(columns[i])
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return list(pairs.items())


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


def _may_be_one(kinds: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N, M) by index into `Register.kinds`."""
    mine, theirs = kinds[:, None], others[None]
    may: NDArray[np.bool_] = (mine == theirs) | ((mine < DOUBTFUL) & (theirs < DOUBTFUL))
    return may

"""Matching of cells with the map.

Cells are one if they are the same thing at the same place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import PLATELET, WHITE_CELL, Cell, Placement, Scale

APART = 0.5
"""Maximum distance between the centres of one thing's boxes.

As a share of the larger box's mean side. Red cells that overlap as far as the finder can tell them apart are
0.6 of their diameter apart.
"""
INSIDE = 0.6
"""Minimum shared area where a field's edge cuts a box.

Share of the smaller box that lies within the larger. It replaces APART for such boxes.
"""
SLACK_UM = 1.0
"""Upper limit of registration and box errors, um."""
REACH_UM = 20.0
"""Search margin around a field, um.

Things within it may be those that the field shows: half of the largest cell, and more.
"""

THING = np.dtype([
    ("island", "<i4"), ("kind", "u1"), ("whole", "?"), ("score", "<f8"), ("box", "<f8", 4), ("first", "<i4"), ("last", "<i4"),
])  # fmt: skip
"""Record of one thing on the map.

Its island, 0 for none; index into the kinds; what its best view says: whole, score and x1 y1 x2 y2 on the
island, um; its first and last sighting.
"""
Things = NDArray[np.void]
"""(N,) array of THING."""
DOUBTFUL = 2
"""Number of easily confused kinds.

They are the first ones of `Register.kinds`.
"""
NEVER = -1
"""Marker for no sighting."""
NOTHING = 0
"""Identity for no thing."""


class Register:
    """Things of one map, as columns.

    A slide has tens of thousands of red cells, which are seldom asked for one by one. A thing's number is its
    identity. It has the box of its best view, and a chain of sightings: these are numbered as they come,
    field after field, and each knows the one before it of the same thing.
    """

    def __init__(self) -> None:
        self.kinds = [WHITE_CELL, PLATELET]
        self._things: Things = np.zeros(1, THING)  # identities are from 1
        self._known = 1
        self._before = np.zeros(0, np.int32)
        self._starts = [0]

    @property
    def next_identity(self) -> int:
        """First identity that this map has not used yet."""
        return self._known

    def knows(self, identity: int) -> bool:
        """Return whether a thing is on the map."""
        return identity < self._known and bool(self._things["island"][identity])

    def at(self, identities: NDArray[np.intp] | int) -> Things:
        """Return a copy of the things of these identities."""
        return self._things[identities]

    def seen(self, cells: Sequence[Cell], boxes_um: NDArray[np.float64], island: int) -> Things:
        """Return a field's cells as things not yet mapped.

        Args:
            cells: Cells of the field.
            boxes_um: (N, 4) x1 y1 x2 y2 of the cells on the island, um.
            island: Island that the field lies on.
        """
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
        """Add a counted field by its cells' identities.

        Each identity is known or new, or NOTHING for a cell that does not count.
        """
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
        """Forget that a counted field shows these things.

        A thing that no other field shows is no longer on the map.
        """
        start, end = self._starts[position], self._starts[position + 1]
        for identity in identities.tolist():
            chain = self._chain(identity)
            others = [sighting for sighting in chain if not start <= sighting < end]
            if not others:
                self._things["island"][identity] = 0
            elif len(others) < len(chain):
                self._link(identity, others)

    def _link(self, identity: int, chain: list[int]) -> None:
        """Set the sightings of a thing.

        In ascending order.
        """
        self._before[chain] = [NEVER, *chain[:-1]]
        self._things["first"][identity], self._things["last"][identity] = chain[0], chain[-1]

    def cells_of(self, position: int) -> int:
        """Return the number of cells of a counted field."""
        return self._starts[position + 1] - self._starts[position]

    def indices_first_seen_in(self, position: int) -> frozenset[int]:
        """Return indices of cells that a field showed first."""
        first = self._things["first"][self.first_seen_in(position)] - self._starts[position]
        return frozenset(first.tolist())

    def _look_again(self, identities: NDArray[np.intp], seen: Things) -> None:
        """Update things by better views.

        A view that shows a thing whole, and among those the one with the highest score, says what it is and
        where.
        """
        known = self._things[identities]
        surer = (seen["whole"] == known["whole"]) & (seen["score"] > known["score"])
        better = (seen["whole"] > known["whole"]) | surer
        for name in ("kind", "box", "whole", "score"):
            self._things[name][identities[better]] = seen[name][better]

    def sightings(self, identity: int) -> list[tuple[int, int]]:
        """Return the sightings of a thing.

        The first one first, each as the position of the counted field and the index among its cells.
        """
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
        """Return the field that first showed a thing.

        Its position among the counted fields.
        """
        return bisect_right(self._starts, int(self._things["first"][identity])) - 1

    def first_seen_in(self, position: int) -> NDArray[np.intp]:
        """Return identities of things that a field showed first."""
        first, known = self._things["first"][: self._known], self._things["island"][: self._known] > 0
        return np.flatnonzero(
            known & (first >= self._starts[position]) & (first < self._starts[position + 1])
        )

    def kinds_of(self, identities: Sequence[int] | NDArray[np.intp]) -> list[str]:
        """Return kinds by name, in the order of identities."""
        return [self.kinds[kind] for kind in self._things["kind"][identities].tolist()]

    def of_kind(self, kind: str) -> list[int]:
        """Return the identities of a kind."""
        things = self._things[: self._known]
        same = (things["island"] > 0) & (things["kind"] == self.kinds.index(kind))
        found: list[int] = np.flatnonzero(same).tolist()
        return found

    def on(self, island: int) -> NDArray[np.intp]:
        """Return the identities on an island."""
        return np.flatnonzero(self._things["island"][: self._known] == island)

    def near(self, island: int, boxes_um: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return identities that may lie around boxes (N, 4).

        In the rectangle around all boxes, REACH_UM wider. Every thing of the map is checked: a tenth of a
        millisecond for ten thousand.
        """
        if not len(boxes_um):
            return np.empty(0, np.intp)
        low, high = boxes_um[:, :2].min(axis=0) - REACH_UM, boxes_um[:, 2:].max(axis=0) + REACH_UM
        there = self.on(island)
        boxes = self._things["box"][there]
        return there[(boxes[:, :2] <= high).all(axis=1) & (boxes[:, 2:] >= low).all(axis=1)]

    def move_island(self, island: int, to: int, place: Placement) -> None:
        """Move all things of an island to another one.

        Args:
            island: The island.
            to: The other one.
            place: Placement of the island's origin on the other one.
        """
        movers = self.on(island)
        self._things["box"][movers] = placed(self._things["box"][movers], place)
        self._things["island"][movers] = to

    def merge(self, kept: int, gone: int) -> None:
        """Merge two identities that are one thing."""
        chain = sorted([*self._chain(kept), *self._chain(gone)])
        self._look_again(np.array([kept]), self._things[[gone]])
        self._link(kept, chain)
        self._things["island"][gone] = 0


def _longer(array: NDArray[Any], length: int) -> NDArray[Any]:
    """Return an array (N,) with room for `length`.

    One that has too little room gets some more.
    """
    if length <= len(array):
        return array
    longer = np.zeros(length + length // 4, array.dtype)
    longer[: len(array)] = array
    return longer


def boxes_on_map(boxes: NDArray[np.float64], scale: Scale, place: Placement) -> NDArray[np.float64]:
    """Convert boxes from frame pixels to island micrometres.

    Args:
        boxes: (N, 4) x1 y1 x2 y2, frame pixels.
        scale: Scale of the frame.
        place: Placement of the frame.

    Returns:
        (N, 4) x1 y1 x2 y2 on the island, um.
    """
    um = boxes * np.array([scale.um_per_px_x, scale.um_per_px_y] * 2)
    return placed(um, place)


def placed(boxes_um: NDArray[np.float64], place: Placement) -> NDArray[np.float64]:
    """Convert boxes from frame to island micrometres.

    Boxes (N, 4) from a frame's corner become boxes on its island around the same ellipses.
    """
    middles = place.on_island((boxes_um[:, :2] + boxes_um[:, 2:]) / 2)
    half = np.sqrt(((boxes_um[:, 2:] - boxes_um[:, :2]) / 2) ** 2 @ (place.axes**2).T)
    return np.concatenate([middles - half, middles + half], axis=1)


def pair(mine: Things, known: Things) -> list[tuple[int, int]]:
    """Match a field's things with known ones.

    Returns pairs of index among `mine` and among `known`, each at most once. Nearest pairs are matched first.
    A white cell and a platelet in one place are one thing of which the finder is not sure; other kinds do not
    pair.
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
    """Return (N, M) distances between centres."""
    steps = (boxes[:, None, :2] + boxes[:, None, 2:] - others[None, :, :2] - others[None, :, 2:]) / 2
    distances: NDArray[np.float64] = np.hypot(steps[..., 0], steps[..., 1])
    return distances


def _mean_sides(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    sides: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).mean(axis=1)
    return sides


def _inside(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, M) shared area over the smaller box's area."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others)]
    share: NDArray[np.float64] = shared / np.maximum(np.minimum(areas[0][:, None], areas[1][None]), 1e-9)
    return share


def _may_be_one(kinds: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (N, M) whether kinds may be one thing.

    By index into `Register.kinds`.
    """
    mine, theirs = kinds[:, None], others[None]
    may: NDArray[np.bool_] = (mine == theirs) | ((mine < DOUBTFUL) & (theirs < DOUBTFUL))
    return may

"""Lookup of fields by cell groups.

Counted fields may show the area of another one if they have many groups of cells of the same shapes. The
shapes of all fields are in one sorted table: the cost of looking up a field grows with the number of fields
by far less than its analysis takes, and nothing is compared with every one of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeleuk.slidemap.alignment import LARGEST_ZOOM, matches
from edgeleuk.slidemap.constellation import Constellation, Groups

ANGLES = 64
"""Number of steps of a full turn."""
SIZES = 64
"""Number of size steps, logarithmic.

Of a group's longest side; LARGEST_UM is the last.
"""
LARGEST_UM = 400.0
BELOW = ANGLES * SIZES
"""Number of values below a shape in an entry.

They are the group's direction and size.
"""
AGREEING = 32
"""Number of steps of a full turn for votes.

Groups vote together in a step: the same field is turned by the same angle for all of them.
"""
CANDIDATES, STRAIGHT_CANDIDATES = 2, 4
"""Maximum number of candidate fields.

CANDIDATES each for those turned in any way and those mirrored; STRAIGHT_CANDIDATES for those that are
straight.
"""
LEAST_VOTES, LEAST_EXCESS = 3, 2.0
"""Minimum votes and excess of a candidate.

The excess is over what chance gives it, in standard deviations.
"""

Entries = NDArray[np.uint32]
Block = tuple[Entries, NDArray[np.unsignedinteger]]
"""Entries in ascending order, and position of their fields."""


class Candidate(NamedTuple):
    """Field that may show what another one shows."""

    number: int
    mirrored: bool
    angle: float = 0.0
    """Rotation of the other field on it, radians.

    After it was mirrored; good to TURN_ERROR.
    """


TURN_ERROR = 3 * 2 * math.pi / ANGLES
"""Maximum error of a candidate's angle, radians.

From two angles in steps, and from two steps that vote together.
"""


class Lookup:
    """Shapes of all counted fields."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        """Numbers of the counted fields, in order."""
        self._blocks: list[Block] = []
        """Blocks, each at least twice as long as the next."""

    def add(self, number: int, cells: Constellation) -> None:
        """Add a counted field."""
        entries = _entries(cells.groups)
        order = entries.argsort()
        position = len(self.numbers)
        block = entries[order], np.full(len(entries), position, np.min_scalar_type(position))
        self.numbers.append(number)
        while self._blocks and len(self._blocks[-1][0]) < 2 * len(block[0]):
            block = _merged(self._blocks.pop(), block)
        self._blocks.append(block)

    def candidates(self, cells: Constellation, but: Collection[int] = ()) -> list[Candidate]:
        """Return the fields with most votes.

        The best first, without the numbers in `but`.
        """
        if not self.numbers:
            return []
        left_out = np.isin(self.numbers, list(but))
        found: dict[Candidate, float] = {}
        for mirrored in (False, True):
            excess = self._excess(cells.mirrored.groups if mirrored else cells.groups)
            excess[left_out] = 0.0
            ways = excess.argmax(axis=1)
            for way, most in (
                (np.zeros_like(ways), 0 if mirrored else STRAIGHT_CANDIDATES),
                (ways, CANDIDATES),
            ):
                so = np.take_along_axis(excess, way[:, None], 1)[:, 0]
                for i in np.argsort(-so)[:most].tolist():
                    if so[i] >= LEAST_EXCESS:
                        found[Candidate(self.numbers[i], mirrored, int(way[i]) * 2 * math.pi / AGREEING)] = (
                            so[i]
                        )
        return sorted(found, key=lambda each: -found[each])

    def _excess(self, groups: Groups) -> NDArray[np.float64]:
        """Return the excess of votes over chance, (fields, AGREEING).

        For each field, turned by each angle; in standard deviations.
        """
        votes = np.zeros((len(self.numbers), AGREEING))
        own, probes = _angles_sizes(groups), groups.probes * BELOW
        for entries, positions in self._blocks:
            rows, at = matches(entries, probes.astype(np.uint32), BELOW)
            found = entries[at].astype(np.int64)
            turn = (found // SIZES % ANGLES - own[0][rows]) % ANGLES * AGREEING // ANGLES
            near = np.abs(found % SIZES - own[1][rows]) <= SAME_SIZE
            votes += np.bincount(
                positions[at[near]].astype(np.int64) * AGREEING + turn[near], minlength=votes.size
            ).reshape(votes.shape)
        together = votes + np.roll(votes, 1, axis=1)
        chance = together.mean(axis=1, keepdims=True)
        excess: NDArray[np.float64] = (together - chance) / np.sqrt(chance + 1) * (together >= LEAST_VOTES)
        return excess


SAME_SIZE = math.ceil(math.log(LARGEST_ZOOM) * SIZES / math.log(LARGEST_UM))


def _angles_sizes(groups: Groups) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return angles and sizes of groups in steps, (Q,) each."""
    angles = np.floor(np.angle(groups.steps) / (2 * np.pi) * ANGLES).astype(np.int64) % ANGLES
    sizes = np.log(np.abs(groups.steps).clip(1.0)) * (SIZES / math.log(LARGEST_UM))
    return angles, sizes.astype(np.int64).clip(0, SIZES - 1)


def _entries(groups: Groups) -> Entries:
    """Return (Q,) entries: shape, direction and size in one number."""
    angles, sizes = _angles_sizes(groups)
    return ((groups.codes * ANGLES + angles) * SIZES + sizes).astype(np.uint32)


def _merged(older: Block, newer: Block) -> Block:
    entries = np.concatenate([older[0], newer[0]])
    order = entries.argsort(kind="stable")
    return entries[order], np.concatenate([older[1], newer[1]])[order]

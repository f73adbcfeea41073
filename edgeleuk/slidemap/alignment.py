"""How one field may lie on another one, by their cells: similarities that equal groups propose, the likeliest first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.slidemap.constellation import Constellation, Points
from edgeleuk.types import Placement

LARGEST_ZOOM = 1.3
"""Between two pictures, each by its own measured scale: these differ by 15 % at most, and an enlarged copy has red cells
of 7.2 um as well."""
PAIRED = 26
"""Fields of so few cells have few groups: there, pairs of cells propose similarities too."""
PAIR_UM = (8.0, 45.0)
"""Distance of cells that make a pair."""
PROPOSED = 800
"""Similarities that are judged, the ones of the most alike groups."""
JUDGED = 100_000
"""Cells under similarities that are judged at a time."""
LIKELY = 0.0
"""Least odds for a similarity to be fitted to all cells that it pairs."""
REFINED = 3
"""The best similarities, which are fitted to all cells that they pair."""
PAIRED_UM = 2.0
"""Two cells nearer than this are one."""
SKETCHED, WORTH_JUDGING = 48, 100
"""Cells, about, that similarities are sketched by where a field has many, and similarities that are then judged by all."""
ELSEWHERE_UM = 10.0
"""Two places of one picture that differ by more are places of two parts of it."""
CONVINCING = 6.0
"""Least odds for a similarity to be worth a look at the pixels."""
TURNED, ASKEW, MIRRORED, ZOOMED = -2.0, -5.0, -2.0, 0.1
"""What speaks against a picture turned by quarters, turned by anything else, and mirrored: logarithm of the odds. And the
standard deviation of the logarithm of its zoom."""
STRAIGHT = math.radians(4)
"""Less than this is a camera that was put back."""
OWN = 0
"""Stands for the island that a field by itself is."""

Steps = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Alignment:
    """How one field may lie on another one."""

    place: Placement
    """Of the one, in micrometres of the other."""
    odds: float
    """Logarithm of how much likelier the places of the cells are if it is so."""
    paired: int
    """Cells that both show."""


def alignments(
    known: Constellation,
    seen: Constellation,
    mirrored: bool,
    turned: tuple[float, float] = (0.0, math.pi),
    but: Placement | None = None,
) -> list[Alignment]:
    """How `seen`, `mirrored` or not, may lie on `known`: the likeliest first, none under CONVINCING.

    `turned`: the angle by which it is turned, radians, and the most by which that errs. None near `but`.
    """
    other = seen.mirrored if mirrored else seen
    steps, shifts = _proposals(known, other, *turned)
    if but:
        elsewhere = np.abs(shifts - complex(but.x_um, but.y_um)) > ELSEWHERE_UM
        steps, shifts = steps[elsewhere], shifts[elsewhere]
    if not len(steps):
        return []
    odds = _prior(steps, mirrored) + _judged(known, other.points, steps, shifts)
    found = []
    for i in _distinct(odds, steps, shifts, other):
        if odds[i] < LIKELY:
            break
        fitted = _fitted(known, other, complex(steps[i]), complex(shifts[i]))
        if fitted and 1 / LARGEST_ZOOM < abs(fitted[0]) < LARGEST_ZOOM:
            found.append(_alignment(known, seen, mirrored, *fitted))
    return sorted((each for each in found if each.odds >= CONVINCING), key=lambda each: -each.odds)


def matches(
    codes: NDArray[Any], probes: NDArray[Any], width: float = 1
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where codes (N,), ascending, are no less than a probe (Q, P) and by less than `width` more: row and position of each
    pair."""
    low = np.searchsorted(codes, probes.ravel())
    many = np.searchsorted(codes, (probes + np.array(width, probes.dtype)).ravel()) - low
    rows = np.repeat(np.arange(len(probes)), many.reshape(probes.shape).sum(axis=1))
    positions = np.arange(len(rows)) + np.repeat(low - many.cumsum() + many, many)
    return rows, positions


def _proposals(known: Constellation, seen: Constellation, angle: float, error: float) -> tuple[Steps, Points]:
    """Similarities z -> step z + shift, turned by an angle to within an error, radians."""
    mine, theirs = known.groups, seen.groups
    codes, order = mine.sorted
    j, positions = matches(codes, theirs.probes)
    i = order[positions]
    steps = mine.steps[i] / theirs.steps[j]
    if error < math.pi:
        so = np.abs(np.angle(steps * complex(math.cos(angle), -math.sin(angle)))) <= error
        steps, i, j = steps[so], i[so], j[so]
    differ = np.abs(mine.shapes[i] - theirs.shapes[j]).max(axis=1)
    shifts = mine.starts[i] - steps * theirs.starts[j]
    plausible = np.abs(np.log(np.abs(steps))) < math.log(LARGEST_ZOOM)
    steps, shifts, differ = steps[plausible], shifts[plausible], differ[plausible]
    if len(steps) > PROPOSED:
        best = np.argpartition(differ, PROPOSED)[:PROPOSED]
        steps, shifts = steps[best], shifts[best]
    pairs = _proposed_by_pairs(known.points, seen.points)
    return np.concatenate([steps, pairs[0]]), np.concatenate([shifts, pairs[1]])


def _proposed_by_pairs(known: Points, seen: Points) -> tuple[Steps, Points]:
    """Any pair of one laid upon any pair of the other that is about as long, where there are few."""
    if max(len(known), len(seen)) > PAIRED:
        return np.empty(0, np.complex128), np.empty(0, np.complex128)
    (starts, steps), (own_starts, own_steps) = _pairs(known), _pairs(seen)
    half = own_steps.real > 0  # the other half are the same pairs from their other ends
    own_starts, own_steps = own_starts[half], own_steps[half]
    ratios = steps[:, None] / own_steps[None]
    i, j = np.nonzero(np.abs(np.log(np.abs(ratios))) < math.log(LARGEST_ZOOM) / 2)
    return ratios[i, j], starts[i] - ratios[i, j] * own_starts[j]


def _pairs(points: Points) -> tuple[Points, Points]:
    """Start and step of pairs of points as far apart as PAIR_UM says."""
    steps = points[None] - points[:, None]
    i, j = np.nonzero((np.abs(steps) > PAIR_UM[0]) & (np.abs(steps) < PAIR_UM[1]))
    return points[i], steps[i, j]


def _prior(steps: Steps, mirrored: bool) -> NDArray[np.float64]:
    """(H,) logarithm of how usual each is."""
    angle = np.angle(steps)
    quarters = np.rint(angle / (np.pi / 2))
    against = np.where(quarters == 0, 0.0, TURNED)
    askew = np.abs(angle - quarters * np.pi / 2) > STRAIGHT
    against[askew] = ASKEW
    zoomed = np.log(np.abs(steps)) / ZOOMED
    return against + (MIRRORED if mirrored else 0.0) - zoomed**2 / 2


def _judged(known: Constellation, points: Points, steps: Steps, shifts: Points) -> NDArray[np.float64]:
    """(H,) what all cells say of each similarity, a part of them at a time."""
    if len(points) > 2 * SKETCHED and len(steps) > 2 * WORTH_JUDGING:
        # A part of the cells tells which similarities are worth asking all of them.
        sketch = _judged(known, points[:: len(points) // SKETCHED], steps, shifts)
        said = np.full(len(steps), -np.inf)
        best = np.argpartition(-sketch, WORTH_JUDGING)[:WORTH_JUDGING]
        said[best] = _judged(known, points, steps[best], shifts[best])
        return said
    said = np.empty(len(steps))
    part = max(1, JUDGED // max(len(points), 1))
    for start in range(0, len(steps), part):
        own = slice(start, start + part)
        said[own] = known.speak(steps[own, None] * points[None] + shifts[own, None]).sum(axis=1)
    return said


def _distinct(odds: NDArray[np.float64], steps: Steps, shifts: Points, seen: Constellation) -> list[int]:
    """The best REFINED similarities of which no two put the field in one place."""
    width, height = seen.size_um
    corner = complex(seen.points.real.min(), 0)
    ends = np.stack([steps * corner + shifts, steps * (corner + complex(width, height)) + shifts])
    chosen: list[int] = []
    for i in np.argsort(-odds)[: REFINED * 20].tolist():
        if all(np.abs(ends[:, i] - ends[:, each]).max() > 2 * PAIRED_UM for each in chosen):
            chosen.append(i)
            if len(chosen) == REFINED:
                break
    return chosen


def _fitted(
    known: Constellation, seen: Constellation, step: complex, shift: complex
) -> tuple[complex, complex, int] | None:
    """A similarity fitted to the cells that it pairs, and how many these are; None where they are too few."""
    paired = 0
    for within in (1.5 * PAIRED_UM, 1.2 * PAIRED_UM, PAIRED_UM, PAIRED_UM):
        i, j = _nearest_pairs(step * seen.points + shift, known.points, within)
        paired = len(i)
        if paired < 3:
            return None
        mine, theirs = seen.points[i], known.points[j]
        own = mine - mine.mean()
        step = complex(np.vdot(own, theirs - theirs.mean()) / np.vdot(own, own))
        shift = complex(theirs.mean() - step * mine.mean())
    return step, shift, paired


def _nearest_pairs(
    points: Points, others: Points, within: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the points and the others that are each other's nearest, less than `within` apart."""
    order = others.real.argsort()
    i, at = matches(others.real[order], (points.real - within)[:, None], 2 * within)
    j = order[at]
    away = np.abs(points[i] - others[j])
    near = away < within
    i, j, away = i[near], j[near], away[near]
    best_of_points, best_of_others = np.full(len(points), np.inf), np.full(len(others), np.inf)
    np.minimum.at(best_of_points, i, away)
    np.minimum.at(best_of_others, j, away)
    mutual = (away == best_of_points[i]) & (away == best_of_others[j])
    return i[mutual], j[mutual]


def _alignment(
    known: Constellation, seen: Constellation, mirrored: bool, step: complex, shift: complex, paired: int
) -> Alignment:
    place = Placement(OWN, shift.real, shift.imag, float(np.angle(step)), zoom=abs(step), mirrored=mirrored)
    prior = float(_prior(np.array([step]), mirrored)[0])
    return Alignment(place, agreement(known, seen, place) + prior, paired)


def agreement(known: Constellation, seen: Constellation, place: Placement) -> float:
    """What the cells of two fields say of `seen` lying at `place` on `known`: the logarithm of how much likelier their
    places are if it does."""
    there = place.on_island(np.stack([seen.points.real, seen.points.imag], axis=1))
    back = place.in_frame(np.stack([known.points.real, known.points.imag], axis=1))
    # Of cells that only one field shows each field's table tells one side.
    return float(known.speak(_complex(there)).sum() + seen.speak(_complex(back)).sum()) / 2


def _complex(points: NDArray[np.float64]) -> Points:
    """(N,) of (N, 2)."""
    found: Points = points[:, 0] + 1j * points[:, 1]
    return found

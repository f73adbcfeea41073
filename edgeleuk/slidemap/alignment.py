"""Candidate alignments of two fields by cells.

Groups of cells with equal shapes propose similarities; the likeliest come first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeleuk.slidemap.constellation import Constellation, Points
from edgeleuk.types import Placement

LARGEST_ZOOM = 1.3
"""Maximum zoom between two pictures.

Each by its own measured scale: these scales differ by 15 % at most, and an enlarged copy has red cells of 7.2
um as well.
"""
PAIRED = 26
"""Maximum cells for proposals by pairs.

Fields of so few cells have few groups: there, pairs of cells propose similarities too.
"""
PAIR_UM = (8.0, 45.0)
"""(min, max) distance of the cells of a pair, um."""
PROPOSED = 800
"""Maximum number of similarities to examine.

Those of the most alike groups are kept.
"""
EXAMINED = 100_000
"""Batch size of judging, in cells.

Summed over the similarities that they are placed by.
"""
LIKELY = 0.0
"""Minimum log odds to refine a similarity.

It is then fitted to all cells that it pairs.
"""
REFINED = 3
"""Number of best similarities to refine.

They are fitted to all cells that they pair.
"""
PAIRED_UM = 2.0
"""Maximum distance of two cells that are one, um."""
SKETCHED, WORTH_EXAMINING = 48, 100
"""Sizes of the preliminary examination of large fields.

SKETCHED is about the number of cells that examine first, if a field has many; WORTH_EXAMINING is the number of
similarities that all cells then examine.
"""
ELSEWHERE_UM = 10.0
"""Minimum distance between parts of a picture, um.

Two places of one picture that differ by more are places of two parts of it.
"""
CONVINCING = 6.0
"""Minimum log odds to compare pixels."""
TURNED, ASKEW, MIRRORED, ZOOMED = -2.0, -5.0, -2.0, 0.1
"""Log-odds penalties of unusual similarities.

TURNED is for a picture turned by quarters, ASKEW for one turned by anything else, MIRRORED for a mirrored
one. ZOOMED is the standard deviation of the logarithm of the zoom.
"""
STRAIGHT = math.radians(4)
"""Maximum deviation from a quarter turn, radians.

Less than this is a camera that was put back.
"""
OWN = 0
"""Island of a field by itself."""

Steps = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Alignment:
    """Possible placement of one field on another."""

    place: Placement
    """Placement of the one field, in micrometres of the other."""
    log_odds: float
    """Log odds of the alignment.

    Logarithm of how much likelier the positions of the cells are if it is true.
    """
    paired: int
    """Number of cells that both fields show."""


def alignments(
    known: Constellation,
    seen: Constellation,
    mirrored: bool,
    turned: tuple[float, float] = (0.0, math.pi),
    but: Placement | None = None,
) -> list[Alignment]:
    """Return likely alignments of two fields.

    Args:
        known: Cells of the field that is known.
        seen: Cells of the field that is laid on it.
        mirrored: Whether `seen` is mirrored.
        turned: Angle by which `seen` is turned, and the maximum error of that, radians.
        but: Placement to exclude, and all near it.

    Returns:
        Alignments, the likeliest first, none under CONVINCING.
    """
    other = seen.mirrored if mirrored else seen
    steps, shifts = _proposals(known, other, *turned)
    if but:
        elsewhere = np.abs(shifts - complex(but.x_um, but.y_um)) > ELSEWHERE_UM
        steps, shifts = steps[elsewhere], shifts[elsewhere]
    if not len(steps):
        return []
    log_odds = _prior(steps, mirrored) + _examined(known, other.points, steps, shifts)
    found = []
    for i in _distinct(log_odds, steps, shifts, other):
        if log_odds[i] < LIKELY:
            break
        fitted = _fitted(known, other, complex(steps[i]), complex(shifts[i]))
        if fitted and 1 / LARGEST_ZOOM < abs(fitted[0]) < LARGEST_ZOOM:
            found.append(_alignment(known, seen, mirrored, *fitted))
    return sorted((each for each in found if each.log_odds >= CONVINCING), key=lambda each: -each.log_odds)


def matches(
    codes: NDArray[Any], probes: NDArray[Any], width: float = 1
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the codes that match each probe.

    Args:
        codes: (N,) codes, ascending.
        probes: (Q, P) lowest matching codes, in rows.
        width: Codes match from a probe up to less than `width` more.

    Returns:
        Row of the probe and position of the code for each match.
    """
    low = np.searchsorted(codes, probes.ravel())
    many = np.searchsorted(codes, (probes + np.array(width, probes.dtype)).ravel()) - low
    rows = np.repeat(np.arange(len(probes)), many.reshape(probes.shape).sum(axis=1))
    positions = np.arange(len(rows)) + np.repeat(low - many.cumsum() + many, many)
    return rows, positions


def _proposals(known: Constellation, seen: Constellation, angle: float, error: float) -> tuple[Steps, Points]:
    """Propose similarities z -> step z + shift.

    Turned by `angle` to within `error`, radians.
    """
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
    """Propose similarities by pairs of cells.

    Only for fields of few cells, see PAIRED. Any pair of one is laid upon any pair of the other that is about
    as long.
    """
    if max(len(known), len(seen)) > PAIRED:
        return np.empty(0, np.complex128), np.empty(0, np.complex128)
    (starts, steps), (own_starts, own_steps) = _pairs(known), _pairs(seen)
    half = own_steps.real > 0  # the other half are the same pairs from their other ends
    own_starts, own_steps = own_starts[half], own_steps[half]
    ratios = steps[:, None] / own_steps[None]
    i, j = np.nonzero(np.abs(np.log(np.abs(ratios))) < math.log(LARGEST_ZOOM) / 2)
    return ratios[i, j], starts[i] - ratios[i, j] * own_starts[j]


def _pairs(points: Points) -> tuple[Points, Points]:
    """Return starts and steps of pairs PAIR_UM apart."""
    steps = points[None] - points[:, None]
    i, j = np.nonzero((np.abs(steps) > PAIR_UM[0]) & (np.abs(steps) < PAIR_UM[1]))
    return points[i], steps[i, j]


def _prior(steps: Steps, mirrored: bool) -> NDArray[np.float64]:
    """Return (H,) log prior odds of similarities."""
    angle = np.angle(steps)
    quarters = np.rint(angle / (np.pi / 2))
    against = np.where(quarters == 0, 0.0, TURNED)
    askew = np.abs(angle - quarters * np.pi / 2) > STRAIGHT
    against[askew] = ASKEW
    zoomed = np.log(np.abs(steps)) / ZOOMED
    return against + (MIRRORED if mirrored else 0.0) - zoomed**2 / 2


def _examined(known: Constellation, points: Points, steps: Steps, shifts: Points) -> NDArray[np.float64]:
    """Return (H,) log odds by all cells, in batches."""
    if len(points) > 2 * SKETCHED and len(steps) > 2 * WORTH_EXAMINING:
        # A part of the cells selects the similarities that all cells then examine.
        sketch = _examined(known, points[:: len(points) // SKETCHED], steps, shifts)
        said = np.full(len(steps), -np.inf)
        best = np.argpartition(-sketch, WORTH_EXAMINING)[:WORTH_EXAMINING]
        said[best] = _examined(known, points, steps[best], shifts[best])
        return said
    said = np.empty(len(steps))
    part = max(1, EXAMINED // max(len(points), 1))
    for start in range(0, len(steps), part):
        own = slice(start, start + part)
        said[own] = known.log_odds_at(steps[own, None] * points[None] + shifts[own, None]).sum(axis=1)
    return said


def _distinct(log_odds: NDArray[np.float64], steps: Steps, shifts: Points, seen: Constellation) -> list[int]:
    """Return the best similarities in distinct places.

    Indices of the best REFINED similarities of which no two put the field in one place.
    """
    width, height = seen.size_um
    corner = complex(seen.points.real.min(), 0)
    ends = np.stack([steps * corner + shifts, steps * (corner + complex(width, height)) + shifts])
    chosen: list[int] = []
    for i in np.argsort(-log_odds)[: REFINED * 20].tolist():
        if all(np.abs(ends[:, i] - ends[:, each]).max() > 2 * PAIRED_UM for each in chosen):
            chosen.append(i)
            if len(chosen) == REFINED:
                break
    return chosen


def _fitted(
    known: Constellation, seen: Constellation, step: complex, shift: complex
) -> tuple[complex, complex, int] | None:
    """Fit a similarity to the cells that it pairs.

    Returns step, shift and the number of pairs; None if these are too few.
    """
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
    """Return indices of mutually nearest points.

    Each pair is less than `within` apart.
    """
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
    """Return the log odds of a placement by cells.

    Args:
        known: Cells of the field that is known.
        seen: Cells of the other field.
        place: Placement of `seen` on `known`.

    Returns:
        Logarithm of how much likelier the positions of the cells are if the placement is true.
    """
    there = place.on_island(np.stack([seen.points.real, seen.points.imag], axis=1))
    back = place.in_frame(np.stack([known.points.real, known.points.imag], axis=1))
    # Each field's table covers the cells that only the other one shows: take the mean of both.
    return float(known.log_odds_at(_complex(there)).sum() + seen.log_odds_at(_complex(back)).sum()) / 2


def _complex(points: NDArray[np.float64]) -> Points:
    """Convert points (N, 2) to complex (N,)."""
    found: Points = points[:, 0] + 1j * points[:, 1]
    return found

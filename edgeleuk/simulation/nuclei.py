"""Draw nuclei as skeletons of thick lines.

The lines lie end to end, and are bent, turned and fitted into their cell. Lengths are in micrometres.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgeleuk.simulation.shapes import Capsule, Outline, Point


def lobed(
    rng: np.random.Generator, lobes: int, radius: float, pitch: float, strand: float, turn: float
) -> list[Capsule]:
    """Return lobes along a bending path with strands between.

    Args:
        rng: Random generator.
        lobes: Number of lobes.
        radius: Radius of a lobe, micrometres.
        pitch: Distance from lobe to lobe, micrometres.
        strand: Radius of a strand, micrometres.
        turn: Change of direction from lobe to lobe, radians.
    """
    parts: list[Capsule] = []
    heading = 0.0
    bend = turn * rng.uniform(0.85, 1.1) * rng.choice((-1, 1))
    at = np.zeros(2)
    before: Point | None = None
    for _ in range(lobes):
        half = np.array(
            polar(radius * rng.uniform(0.1, 0.4), heading + bend / 2 + np.pi / 2 + rng.normal(0, 0.4))
        )
        parts.append((_point(at - half), _point(at + half), radius * rng.uniform(0.88, 1.04)))
        if before is not None:
            parts.append((before, _point(at), strand * rng.uniform(0.7, 1.3)))
        before = _point(at)
        heading += bend + rng.normal(0, 0.15)
        at = at + np.array(polar(pitch * rng.uniform(0.95, 1.08), heading))
    return parts


def bean(rng: np.random.Generator, cell_radius: float) -> list[Capsule]:
    """Return a bent nucleus, kidney- to horseshoe-shaped."""
    thick = cell_radius * rng.uniform(0.36, 0.42)
    bend, path = rng.uniform(2.4, 3.8), cell_radius * rng.uniform(1.3, 1.6)
    places = [polar(path / bend, float(angle)) for angle in np.linspace(-bend / 2, bend / 2, 7)]
    radii = (thick * rng.uniform(0.88, 1.15, 6)).tolist()
    return [(start, end, radius) for (start, end), radius in zip(pairwise(places), radii, strict=True)]


def place_lobes(
    rng: np.random.Generator, parts: list[Capsule], edge: Outline, shift_um: float
) -> list[Capsule]:
    """Place a nucleus in its cell.

    The nucleus is turned at random, centred near the cell's middle and contracted until it fits inside.

    Args:
        rng: Random generator.
        parts: Nucleus, in micrometres.
        edge: Outline of the cell.
        shift_um: Maximum distance from the cell's middle, micrometres.
    """
    ends = np.array([[a, b] for a, b, _ in parts])
    radii = np.array([r for _, _, r in parts])
    ends = ends - ends.mean(axis=(0, 1))
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    ends = ends @ turn + np.array(polar(shift_um * rng.uniform(0.4, 1.0), rng.uniform(0, 2 * np.pi)))
    room = float(edge.radii.min()) - 0.35
    reach = np.hypot(ends[..., 0], ends[..., 1])
    pull = np.minimum(1, np.maximum(room - radii[:, None], 0.1) / np.maximum(reach, 1e-6))
    ends = ends * pull[..., None]
    return [(_point(a), _point(b), float(r)) for (a, b), r in zip(ends, radii, strict=True)]


def polar(length: float, angle: float) -> Point:
    """Return the point at polar coordinates.

    `angle` is in radians from x towards y.
    """
    return float(length * np.cos(angle)), float(length * np.sin(angle))


def _point(place: NDArray[np.float64]) -> Point:
    return float(place[0]), float(place[1])

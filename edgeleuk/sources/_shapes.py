"""Shapes and textures that look grown, not drawn: outlines, nuclei, noise and granules. Lengths in micrometres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
"""(n, n) float32, one value a point of the canvas."""
Reals = NDArray[np.floating[Any]]
"""As a Plane, of either precision: what arithmetic on one may give."""
Point = tuple[float, float]

Capsule = tuple[Point, Point, float]
"""All that lies within the radius of a line: from, to, radius."""

ANGLES = 128
UM_PER_PX = 0.08
"""Of the canvas that cells are painted on: below half of what an oil objective resolves (0.61 x 0.55 / 1.25 = 0.27 um)."""
MARGIN_UM = 1.0


@dataclass(frozen=True, slots=True)
class Outline:
    """A closed line around a cell: its distance from the cell's centre by direction."""

    radii: NDArray[np.float32]
    """(ANGLES,) um, at equal angles from the x axis towards the y axis."""

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        diameter_um: float,
        stretch: float,
        roughness: float,
        decay: float = 1.6,
    ) -> Outline:
        """An ellipse with long over short axis about 1 + `stretch`, roughened by harmonics 3 to 24.

        The k-th has amplitude `roughness` x (3 / k)^`decay`. The area is that of a circle of `diameter_um`.
        """
        angle = np.arange(ANGLES) * (2 * np.pi / ANGLES)
        order = np.arange(3, 25)[:, None]
        amplitude = rng.normal(0, roughness, (22, 1)) * (3 / order) ** decay
        radii = 1 + stretch / 2 * np.cos(2 * (angle - rng.uniform(0, np.pi)))
        radii += (amplitude * np.cos(order * angle + rng.uniform(0, 2 * np.pi, (22, 1)))).sum(axis=0)
        radii = np.maximum(radii, 0.3)
        return cls((radii * diameter_um / 2 / np.sqrt(np.mean(radii**2))).astype(np.float32))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x1 y1 x2 y2 around the centre, um."""
        angle = np.arange(ANGLES) * (2 * np.pi / ANGLES)
        x, y = self.radii * np.cos(angle), self.radii * np.sin(angle)
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())

    @property
    def radius_um(self) -> float:
        """Of the circle with the same area."""
        return float(np.sqrt(np.mean(self.radii**2)))

    @property
    def reach_um(self) -> float:
        """From the centre to the farthest point."""
        return float(self.radii.max())


class Canvas:
    """A square patch around one cell's centre, and the cell's own source of chance."""

    def __init__(self, rng: np.random.Generator, reach_um: float) -> None:
        self.rng = rng
        half = int(np.ceil((reach_um + MARGIN_UM) / UM_PER_PX))
        axis = (np.arange(2 * half, dtype=np.float32) + 0.5 - half) * UM_PER_PX
        self.x: Plane
        self.y: Plane
        self.x, self.y = np.meshgrid(axis, axis)
        self.density = np.zeros((*self.x.shape, 3), np.float32)
        """(n, n, 3) optical density R G B."""

    def lay(self, cover: Plane, density: NDArray[np.float32]) -> None:
        """Paint `density` (n, n, 3) where `cover` is 1, keep what is there where it is 0.

        In place of what is there, not on top: measured densities are of the whole path through the cell.
        """
        self.density += cover[..., None] * (density - self.density)

    def tint(self, eosin: Reals, change: Sequence[float]) -> None:
        """Shift the hue by `eosin` times the relative `change` of density in R, G and B."""
        self.density *= np.exp(eosin[..., None] * np.array(change, np.float32))

    def noise(self, grain_um: float) -> Plane:
        """Band-limited noise of zero mean and unit spread; `grain_um` is about the radius of its spots."""
        white = self.rng.standard_normal(self.x.shape, np.float32)
        sigma = grain_um / UM_PER_PX
        plane = _blur(white, sigma)
        if grain_um < 1:
            plane -= _blur(plane, 2.5 * sigma)
        plane -= plane.mean()
        plane /= plane.std()
        return plane

    def inside(self, outline: Outline, centre: Point = (0.0, 0.0)) -> Plane:
        """Depth under an outline along the ray from its centre, um; negative outside."""
        x, y = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        turn = np.arctan2(y, x) * np.float32(ANGLES / (2 * np.pi)) % ANGLES
        lower = turn.astype(np.int32) % ANGLES
        share = turn - np.floor(turn)
        radius = outline.radii[lower] * (1 - share) + outline.radii[(lower + 1) % ANGLES] * share
        depth: Plane = radius - np.hypot(x, y)
        return depth

    def capsules(self, parts: Sequence[Capsule], ruffle_um: float) -> Plane:
        """Depth inside a smooth union of thick lines (from, to, radius), their rims ruffled; negative outside."""
        x, y = (axis + ruffle_um * (self.noise(1.2) + 0.6 * self.noise(0.4)) for axis in (self.x, self.y))
        depth = np.full(x.shape, -1e3, np.float32)
        for (ax, ay), (bx, by), radius in parts:
            dx, dy = bx - ax, by - ay
            along = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
            part = radius - np.hypot(x - ax - along * dx, y - ay - along * dy)
            depth = _smooth_max(depth, part.astype(np.float32), 0.2)
        return depth

    def granules(
        self, within: Reals, spacing_um: float, radius_um: float, spread: float = 0.25
    ) -> tuple[Plane, Plane]:
        """Round granules on a shaken grid: how much of each point they cover, and each granule's own tone.

        `within` (0 to 1) is the chance that a granule whose centre falls there exists.
        """
        rng, size = self.rng, len(self.x)
        places = np.arange(0, size * UM_PER_PX, spacing_um)
        centres = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)
        centres = ((centres + rng.uniform(-0.5, 0.5, centres.shape) * spacing_um) / UM_PER_PX).astype(int)
        chance, tone = rng.random(len(centres)), rng.standard_normal(len(centres))
        radius = radius_um * np.exp(spread * rng.standard_normal(len(centres)))
        centres = centres.clip(0, size - 1)
        exists = chance < within[centres[:, 1], centres[:, 0]]
        far = np.ones(self.x.shape, np.uint8)
        far[centres[exists, 1], centres[exists, 0]] = 0
        if not exists.any():
            return np.zeros_like(self.x), np.zeros_like(self.x)
        distance, label = cv2.distanceTransformWithLabels(far, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        owner = np.zeros(int(label.max()) + 1, np.int64)
        owner[label[centres[exists, 1], centres[exists, 0]]] = np.flatnonzero(exists)
        cover = soft((radius[owner][label] - distance * UM_PER_PX).astype(np.float32), 0.1)
        return cover, tone[owner][label].astype(np.float32)


def soft(depth: Plane, width_um: float = 0.15) -> Plane:
    """0 outside to 1 inside across a rim about two widths thick."""
    share: Plane = np.clip(depth / np.float32(2 * width_um) + np.float32(0.5), 0, 1)
    return share * share * (3 - 2 * share)


def near(depth: Plane, at_um: float, width_um: float) -> Plane:
    """1 along the line at `at_um` of depth, fading over `width_um` to either side."""
    return np.exp(-(((depth - np.float32(at_um)) / np.float32(width_um)) ** 2))


def unit(plane: Plane) -> Plane:
    """`plane` shifted and scaled to zero mean and unit spread."""
    return (plane - plane.mean()) / plane.std()


def _blur(plane: Plane, sigma: float) -> Plane:
    blurred: Plane = cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred


def _smooth_max(a: Plane, b: Plane, width: float) -> Plane:
    """The larger of both, their crease rounded over `width` (polynomial smooth union, Quilez)."""
    share = np.clip(0.5 + (b - a) / (2 * width), 0, 1)
    return a + (b - a) * share + width * share * (1 - share)

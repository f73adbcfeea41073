"""Draw natural-looking shapes and textures of cells.

There are outlines, nuclei, noise and granules. Lengths are in micrometres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
"""One value per canvas point, (n, n) float32."""
Reals = NDArray[np.floating[Any]]
"""Plane of either float precision.

Arithmetic on a Plane may give one.
"""
Point = tuple[float, float]

Capsule = tuple[Point, Point, float]
"""Thick line: start, end, radius.

It contains all points within the radius of the line.
"""

ANGLES = 128
UM_PER_PX = 0.08
"""Scale of the canvas on which cells are painted.

It is below half of what an oil objective resolves (0.61 x 0.55 / 1.25 = 0.27 um).
"""
MARGIN_UM = 1.0


@dataclass(frozen=True, slots=True)
class Outline:
    """Closed outline of a cell.

    It is stored as the distance from the cell's centre in each direction.
    """

    radii: NDArray[np.float32]
    """(ANGLES,) micrometres, at equal angles from x towards y."""

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        diameter_um: float,
        stretch: float,
        roughness: float,
        decay: float = 1.6,
    ) -> Outline:
        """Draw a roughened ellipse at random.

        Harmonics 3 to 24 roughen it; the k-th has amplitude `roughness` x (3 / k)^`decay`.

        Args:
            rng: Random generator.
            diameter_um: Diameter of the circle with the same area, micrometres.
            stretch: Ratio of long to short axis, about, minus 1.
            roughness: Amplitude of the third harmonic, share of the radius.
            decay: Exponent by which higher harmonics fade.
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
        """Bounding box x1 y1 x2 y2 about the centre, micrometres."""
        angle = np.arange(ANGLES) * (2 * np.pi / ANGLES)
        x, y = self.radii * np.cos(angle), self.radii * np.sin(angle)
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())

    @property
    def radius_um(self) -> float:
        """Radius of the circle with the same area."""
        return float(np.sqrt(np.mean(self.radii**2)))

    @property
    def reach_um(self) -> float:
        """Distance from the centre to the farthest point."""
        return float(self.radii.max())


class Canvas:
    """Square patch around one cell's centre.

    It holds the cell's own random generator.
    """

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
        """Paint a density where `cover` is 1.

        Where `cover` (n, n) is 0, the present density is kept. `density` (n, n, 3) replaces what is there and
        is not added to it: measured densities are of the whole path through the cell.
        """
        self.density += cover[..., None] * (density - self.density)

    def tint(self, eosin: Reals, change: Sequence[float]) -> None:
        """Shift the hue of the density.

        The shift is `eosin` times the relative `change` of density in R, G and B.
        """
        self.density *= np.exp(eosin[..., None] * np.array(change, np.float32))

    def noise(self, grain_um: float) -> Plane:
        """Return band-limited noise of zero mean and unit deviation.

        `grain_um` is about the radius of its spots.
        """
        white = self.rng.standard_normal(self.x.shape, np.float32)
        sigma = grain_um / UM_PER_PX
        plane = _blur(white, sigma)
        if grain_um < 1:
            plane -= _blur(plane, 2.5 * sigma)
        plane -= plane.mean()
        plane /= plane.std()
        return plane

    def inside(self, outline: Outline, centre: Point = (0.0, 0.0)) -> Plane:
        """Return the depth within an outline, micrometres.

        Depth is measured along the ray from the centre; it is negative outside.
        """
        x, y = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        turn = np.arctan2(y, x) * np.float32(ANGLES / (2 * np.pi)) % ANGLES
        lower = turn.astype(np.int32) % ANGLES
        share = turn - np.floor(turn)
        radius = outline.radii[lower] * (1 - share) + outline.radii[(lower + 1) % ANGLES] * share
        depth: Plane = radius - np.hypot(x, y)
        return depth

    def capsules(self, parts: Sequence[Capsule], ruffle_um: float) -> Plane:
        """Return the depth within a union of thick lines.

        The union is smooth and its rim is ruffled; depth is in micrometres, and negative outside.
        """
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
        """Scatter round granules on a jittered grid.

        Args:
            within: (n, n) chance (0 to 1) that a granule centred there exists.
            spacing_um: Spacing of the grid, micrometres.
            radius_um: Median radius of a granule, micrometres.
            spread: Standard deviation of the logarithm of the radius.

        Returns:
            How much of each point the granules cover, and each granule's own tone.
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
    """Return 0 outside to 1 inside, with a soft rim.

    The rim is about two widths thick.
    """
    share: Plane = np.clip(depth / np.float32(2 * width_um) + np.float32(0.5), 0, 1)
    return share * share * (3 - 2 * share)


def near(depth: Plane, at_um: float, width_um: float) -> Plane:
    """Return 1 at a given depth, fading on both sides.

    It fades over `width_um`.

    Args:
        depth: (n, n) depth, micrometres.
        at_um: Depth at which the result is 1, micrometres.
        width_um: Width of the fading, micrometres.
    """
    return np.exp(-(((depth - np.float32(at_um)) / np.float32(width_um)) ** 2))


def unit(plane: Plane) -> Plane:
    """Normalise `plane` to zero mean and unit deviation."""
    return (plane - plane.mean()) / plane.std()


def _blur(plane: Plane, sigma: float) -> Plane:
    blurred: Plane = cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred


def _smooth_max(a: Plane, b: Plane, width: float) -> Plane:
    """Return the maximum with a crease rounded over `width`.

    It is a polynomial smooth union (Quilez).
    """
    share = np.clip(0.5 + (b - a) / (2 * width), 0, 1)
    return a + (b - a) * share + width * share * (1 - share)

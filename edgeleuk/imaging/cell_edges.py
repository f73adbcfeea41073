"""Rims of red cells: blur, contrast and diameter.

A rim is where the light changes fastest along a line from inside to outside. Lens and camera blur it to both
sides, so that its place, and with it the cell's diameter, does not depend on them, nor on how far from a cell
the annotators drew the boxes that a finder was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import Boxes, Image

SPOKES = 24
"""Number of directions in which a red cell's rim is crossed."""
CROSSED = (0.45, 1.5)
"""Start and end of a crossing, in radii of the cell's box.

Beyond its pallor, and before the next cell's middle.
"""
STEPS = 43
SPAN = 3
"""Steps over which a slope is taken.

An eighth of a radius, less than any lens shows.
"""
LEAST_RIMS = 3
"""Minimum number of cells with a rim for a measurement."""
LEAST_CONTRAST = 0.015
"""Minimum optical density across a rim, above noise."""
ROUND = 2 / 3
"""Minimum share of the rim for a cell's diameter."""
SURROUNDINGS_UM = 20.0
"""Size of the surroundings that include empty slide, um.

Larger than the largest cell.
"""
COARSER = 8
"""Reduction of the copy for measuring surroundings."""


@dataclass(frozen=True, slots=True)
class Rims:
    """Rim measurements of several cells together."""

    width_um: float
    """Median blur of the rims, um.

    Standard deviation of the blur that explains their width.
    """
    way_um: float
    """Length of the even motion during the exposure, um.

    It makes rims wider in one direction than in another.
    """
    contrast: float
    """Median optical density across the rims."""
    diameters_um: NDArray[np.float64]
    """(M,) diameters of cells that show enough of their rim, um."""


def above_surroundings(image: Image, um_per_px: float) -> NDArray[np.float32]:
    """Return the optical density (green) above the surroundings, (H, W).

    Relative to the brightest pixels within SURROUNDINGS_UM in a picture (H, W, 3): the shading of lamp and
    eyepiece cancels.
    """
    green = cv2.extractChannel(image, 1)
    height, width = green.shape
    size = max(1, width // COARSER), max(1, height // COARSER)
    coarse = cv2.resize(green, size, interpolation=cv2.INTER_AREA)
    reach = max(1, round(SURROUNDINGS_UM / um_per_px / COARSER)) | 1
    bright = cv2.morphologyEx(coarse, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    level = cv2.GaussianBlur(np.log10(bright.clip(1).astype(np.float32)), (0, 0), reach / 3)
    seen: NDArray[np.float32] = cv2.LUT(green, np.log10(np.arange(256).clip(1)).astype(np.float32))
    above: NDArray[np.float32] = cv2.resize(level, (width, height), interpolation=cv2.INTER_LINEAR) - seen
    return above


def crossed(density: NDArray[np.float32], boxes: Boxes, um_per_px: float) -> Rims | None:
    """Measure the rims of cells.

    At the picture's edge there is no contrast, so that the rest of a cell that the edge cuts shows blur as
    well. Only whole cells, which the caller chooses, give a diameter.

    A step that a Gaussian of standard deviation s blurs has the slope step / (s sqrt(2 pi)) in its middle.

    Args:
        density: (H, W) optical density, of square pixels.
        boxes: (N, 4) boxes of cells, pixels of `density`.
        um_per_px: Scale of `density`, um per pixel.

    Returns:
        Measurements; None where too few rims are visible.
    """
    if not len(boxes):
        return None
    angles = np.arange(SPOKES) * 2 * np.pi / SPOKES
    radii = np.linspace(*CROSSED, STEPS)
    halves = (boxes[:, 2:] - boxes[:, :2]) / 2
    spokes = np.stack([np.cos(angles), np.sin(angles)], axis=1)[None] * halves[:, None]
    middles = (boxes[:, None, None, :2] + boxes[:, None, None, 2:]) / 2 - 0.5
    places = (middles + spokes[:, :, None] * radii[:, None]).astype(np.float32)
    flat = places.reshape(len(boxes) * SPOKES, STEPS, 2)
    values = cv2.remap(density, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    slopes = (values[:, :-SPAN] - values[:, SPAN:]) / SPAN
    steepest = slopes.argmax(axis=1)
    rows = np.arange(len(slopes))
    highest = np.maximum.accumulate(values, axis=1)[rows, steepest]
    lowest = np.minimum.accumulate(values[:, ::-1], axis=1)[:, ::-1][rows, steepest + SPAN]
    contrast = (highest - lowest).reshape(-1, SPOKES)
    step_um = np.linalg.norm(spokes, axis=2) * (radii[1] - radii[0]) * um_per_px
    slope = slopes[rows, steepest].reshape(-1, SPOKES) / step_um
    told = contrast > LEAST_CONTRAST
    if (told.sum(axis=1) >= SPOKES / 3).sum() < LEAST_RIMS:
        return None
    widths = np.where(told, contrast / np.maximum(slope, 1e-6) / np.sqrt(2 * np.pi), np.nan)
    inside = (steepest > 0) & (steepest < slopes.shape[1] - 1)
    places_told = np.where(told & inside.reshape(-1, SPOKES), _peaks(slopes, steepest, radii), np.nan)
    round_ = np.isfinite(places_told).sum(axis=1) >= ROUND * SPOKES
    return Rims(
        width_um=float(np.nanmedian(widths)),
        way_um=_way(angles, widths),
        contrast=float(np.median(contrast[told])),
        diameters_um=np.nanmedian(places_told[round_], axis=1)
        * 2
        * np.sqrt(halves[round_].prod(axis=1))
        * um_per_px,
    )


def _peaks(
    slopes: NDArray[np.float32], steepest: NDArray[np.int64], radii: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the places of the steepest slopes, (N, SPOKES), in radii.

    Interpolated between steps by the parabola through the neighbours.
    """
    rows, at = np.arange(len(slopes)), steepest.clip(1, slopes.shape[1] - 2)
    before, peak, after = (slopes[rows, at + by].astype(np.float64) for by in (-1, 0, 1))
    bend = np.minimum(before - 2 * peak + after, -1e-9)
    off = (0.5 * (before - after) / bend).clip(-1, 1)
    found: NDArray[np.float64] = radii[0] + (at + off + SPAN / 2) * (radii[1] - radii[0])
    return found.reshape(-1, SPOKES)


def _way(angles: NDArray[np.float64], widths: NDArray[np.float64]) -> float:
    """Return the length of the motion that widens rims, um.

    `widths`: (N, SPOKES), larger along the motion than across it. A motion of length L adds L^2 / 12 to the
    variance along it, and the square of the cosine of that to other directions.
    """
    if np.isnan(widths).all(axis=0).any():
        return 0.0  # a direction that no cell shows
    variances = np.nanmedian(widths, axis=0) ** 2
    cosine, sine = (float(np.mean(variances * wave(2 * angles))) * 2 for wave in (np.cos, np.sin))
    return float(np.sqrt(12 * 2 * np.hypot(cosine, sine)))

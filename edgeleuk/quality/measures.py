"""Image quality measures, before and after cells are found.

`look` needs no detections and is cheap enough for every frame of a live view. `inspect` needs the scale and
the finder's boxes, and measures in micrometres: how wide the rims of red cells are shows the focus of a
single picture, which has none to compare with. Assessment is done elsewhere: `assessment` decides whether a
picture or a frame counts, `counting.gate` which frames of a stream do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.cell_edges import above_surroundings, crossed
from edgeleuk.quality.channels import Channels, channels
from edgeleuk.types import Boxes, Image

LOOKED_AT = 640
"""Long side of the measured copy, pixels.

Red cells of a 100x field are then 20 to 60 pixels wide.
"""
FINE, COARSE = 0.8, 2.4
"""Standard deviations of the blurs that sharpness compares.

Pixels of the copy. The fine blur suppresses the sensor's noise.
"""
BACKGROUND = 97.0
"""Brightness percentile of the empty slide.

Some of it shows even between crowded cells.
"""
FINE_UM, COARSE_UM = 0.3, 0.9
"""Standard deviations of both blurs where the scale is known, um.

What a lens resolves, and the width of a blurred rim.
"""
COVERED = 0.06
"""Minimum optical density of stained pixels above the background.

A pale red cell has twice as much.
"""
CLIPPED = 254
MOST = 300
"""Maximum number of red cells whose neighbours are searched."""
MOST_RIMS = 60
"""Maximum number of red cells whose rims are measured.

More would not make the median better.
"""
STAINED = 0.03
"""Minimum optical density of stained pixels above the surroundings.

`inspect` raises it with the density of the found cells, see PALEST.
"""
PALEST = 0.4
"""Minimum share of the cells' median density for stained pixels.

The median is that of the found cells.
"""
LARGER = 1.1
"""Enlargement of a cell's ellipse beyond its box.

It includes the cell's blurred rim.
"""
APART = 1.24
"""Enlargement of white cells and platelets to leave out.

Their blurred rims are excluded where red cells are measured.
"""
TWICE = 1.6
"""Minimum density of overlapping red cells.

Times the density of a single red cell. Densities add up (Beer-Lambert), but a cell's pale middle adds less.
"""
NUCLEAR = 3.2
"""Minimum density of a nucleus.

Times the density of a single red cell. The nucleus is of a white cell that the finder missed or took for a
red one.
"""
LAYER_UM = 1.25
"""Minimum width of a place where cells overlap, um."""
OVERLAPPING = 0.25
"""Minimum shared area of two overlapping cells.

As a share of the smaller box. Cells that only touch share less.
"""


@dataclass(frozen=True, slots=True)
class Look:
    """Image statistics of a frame, without any network."""

    light: float
    """Brightness of the background (green), 0 to 1."""
    clipped: float
    """Share of pixels at the sensor's upper limit, 0 to 1."""
    coverage: float
    """Share of the frame that is stained, 0 to 1."""
    contrast: float
    """Optical density between background and the darkest twentieth."""
    sharpness: float
    """Energy of fine gradients over that of coarse ones, 1 and more.

    Exposure and stain cancel; the frame's content does not wholly, so it compares frames of one slide under
    one objective.
    """
    channels: Channels | None = None
    """Relations between the colour channels; None for nearly empty frames."""


@dataclass(frozen=True, slots=True)
class Detail:
    """Quality measures from the found cells.

    A value is None where too few cells were found.
    """

    rim_um: float | None
    """Median blur of red-cell rims, um.

    Standard deviation of the blur that explains the rims' width. It includes a sharp cell's own rim, a
    quarter of a micrometre.
    """
    fine: float
    """Energy of fine gradients over that of coarse ones, 1 and more.

    As fine as FINE_UM and COARSE_UM. It complements the rims, which show less of a strong blur than there is,
    as they run into each other and red cells look larger.
    """
    way_um: float | None
    """Motion of the picture during the exposure, um.

    If motion is why rims are wider in one direction than in another.
    """
    contrast: float | None
    """Median optical density (green) across red-cell rims.

    It shows how strong their stain is.
    """
    crowding: float | None
    """Share of red cells that overlap another cell, 0 to 1."""
    spacing_um: float | None
    """Median distance between neighbouring red-cell centres, um."""
    red_cells: float
    """Number of red cells per 1000 um2."""
    covered: float
    """Share of the picture that is stained, 0 to 1."""
    layered: float | None
    """Share of the stained area where red cells overlap, 0 to 1.

    White cells and platelets are left out.
    """
    unknown: float
    """Share of the stained area outside the found cells, 0 to 1.

    Cells in too thick a place, dirt, or no smear.
    """


def look(image: Image) -> Look:
    """Measure a frame, (H, W, 3) uint8 RGB.

    Takes 4 ms for 1280 x 720 on one core of a laptop.
    """
    small = _small(image)
    density, light = _density(small)
    return Look(
        light=light,
        clipped=float(np.count_nonzero(small >= CLIPPED)) / small.size,
        coverage=float(np.count_nonzero(density > COVERED)) / density.size,
        contrast=float(np.percentile(density[::2, ::2], 95)),
        sharpness=sharpness(density),
        channels=channels(image),
    )


def inspect(small: Image, um_per_px: float, red: Boxes, others: Boxes) -> Detail:
    """Measure a picture by its found cells.

    Args:
        small: (H, W, 3) uint8 RGB, of square pixels.
        um_per_px: Scale of `small`, um per pixel.
        red: (N, 4) boxes of red cells, pixels of `small`.
        others: (M, 4) boxes of other cells, pixels of `small`.
    """
    height, width = small.shape[:2]
    every, some = np.concatenate([red, others]), red[:: 1 + len(red) // MOST]
    density = above_surroundings(small, um_per_px)
    cells = _inside(every, width, height)
    least = max(STAINED, PALEST * float(np.median(density[cells]))) if cells.any() else STAINED
    stained = density > least
    thin = stained & ~_inside(others, width, height, APART)
    rims = crossed(density, some[:MOST_RIMS], um_per_px)
    fine, coarse = FINE_UM / um_per_px, COARSE_UM / um_per_px
    return Detail(
        rim_um=rims.width_um if rims else None,
        fine=sharpness(density, fine, coarse),
        way_um=rims.way_um if rims else None,
        contrast=rims.contrast if rims else None,
        crowding=crowding(some, every),
        spacing_um=spacing(some, red, um_per_px),
        red_cells=1000 * len(red) / (height * width * um_per_px**2),
        covered=float(stained.mean()),
        layered=layered(density, thin, cells, um_per_px),
        unknown=float((stained & ~cells).sum() / max(stained.sum(), 1)),
    )


def layered(
    density: NDArray[np.float32], thin: NDArray[np.bool_], red: NDArray[np.bool_], um_per_px: float
) -> float | None:
    """Return the share of stained pixels where cells overlap.

    Density is compared with its median over found red cells. What is narrower than LAYER_UM does not count:
    the dark rim of a cell that refracts, a granule of stain.

    Args:
        density: (H, W) optical density.
        thin: (H, W) mask of stained pixels outside white cells and platelets.
        red: (H, W) mask of found cells.
        um_per_px: Scale of the arrays, um per pixel.

    Returns:
        Share from 0 to 1; None where `thin` and `red` share no pixels.
    """
    both = thin & red
    if not both.any():
        return None
    single = float(np.median(density[both]))
    side = max(1, round(LAYER_UM / um_per_px)) | 1
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    nuclei = ((density > NUCLEAR * single) & thin).astype(np.uint8)
    around = cv2.dilate(cv2.morphologyEx(nuclei, cv2.MORPH_OPEN, shape), shape, iterations=2)
    dense = ((density > TWICE * single) & thin & (around == 0)).astype(np.uint8)
    return float(cv2.morphologyEx(dense, cv2.MORPH_OPEN, shape).sum() / thin.sum())


def _inside(boxes: Boxes, width: int, height: int, larger: float = LARGER) -> NDArray[np.bool_]:
    """Return a mask of the ellipses in boxes (N, 4).

    (height, width), True inside. The ellipses are enlarged by the factor `larger`.
    """
    mask = np.zeros((height, width), np.uint8)
    middles, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * larger
    for middle, half in zip(middles.tolist(), halves.tolist(), strict=True):
        centre, axes = (round(middle[0]), round(middle[1])), (max(1, round(half[0])), max(1, round(half[1])))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    return mask > 0


def crowding(some: Boxes, every: Boxes) -> float | None:
    """Return the share of boxes that overlap another one.

    Of `some` (N, 4), with others of `every` (M, 4). None where `some` is empty.
    """
    if not len(some):
        return None
    across, down = (
        np.minimum(some[:, None, axis + 2], every[None, :, axis + 2])
        - np.maximum(some[:, None, axis], every[None, :, axis])
        for axis in (0, 1)
    )
    shared = across.clip(0) * down.clip(0)
    over = shared > OVERLAPPING * np.minimum(_areas(some)[:, None], _areas(every)[None]).clip(1e-9)
    # Each box overlaps itself. Its four float32 are compared as two int64.
    one, other = (np.ascontiguousarray(boxes, np.float32).view(np.int64) for boxes in (some, every))
    same = (one[:, None, 0] == other[None, :, 0]) & (one[:, None, 1] == other[None, :, 1])
    return float((over.sum(axis=1) > same.sum(axis=1)).mean())


def spacing(some: Boxes, every: Boxes, um_per_px: float) -> float | None:
    """Return the median distance to the nearest other box, um.

    Args:
        some: (N, 4) boxes to start from, which are part of `every`.
        every: (M, 4) all boxes.
        um_per_px: Scale of the boxes' pixels, um per pixel.

    Returns:
        Distance between centres, um; None where there are fewer than two boxes.
    """
    if len(every) < 2:
        return None
    x, y = (
        (some[:, None, axis] + some[:, None, axis + 2] - every[None, :, axis] - every[None, :, axis + 2]) / 2
        for axis in (0, 1)
    )
    distances = x * x + y * y
    distances[np.arange(len(some)), distances.argmin(axis=1)] = np.inf  # itself
    return float(np.median(np.sqrt(distances.min(axis=1)))) * um_per_px


def _areas(boxes: Boxes) -> NDArray[np.float32]:
    areas: NDArray[np.float32] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return areas


def sharpness(density: NDArray[np.float32], finely: float = FINE, coarsely: float = COARSE) -> float:
    """Return the gradient energy after a fine over a coarse blur.

    Gradient energy is the mean square. An edge as sharp as the picture can hold gives the ratio of both
    blurs; one blurred far beyond the coarse one gives 1. The measure is a normalised Tenengrad (Krotkov,
    International Journal of Computer Vision 1, 1987, 223).

    Args:
        density: (H, W) optical density.
        finely: Standard deviation of the fine blur, pixels.
        coarsely: Standard deviation of the coarse blur, pixels.
    """
    fine, coarse = (
        _gradient_energy(cv2.GaussianBlur(density, (0, 0), sigma)) for sigma in (finely, coarsely)
    )
    return fine / coarse if coarse > 0 else 1.0


def _small(image: Image) -> NDArray[np.uint8]:
    """Return the green channel at LOOKED_AT.

    Both dyes absorb green.
    """
    factor = min(1.0, LOOKED_AT / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    green: NDArray[np.uint8] = cv2.extractChannel(image, 1)
    return cv2.resize(green, size, interpolation=cv2.INTER_AREA) if factor < 1 else green


def _density(green: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
    """Return the optical density, (H, W), and the background level.

    Density is above the background, whose brightness is 0 to 1.
    """
    background = max(float(np.percentile(green[::2, ::2], BACKGROUND)), 1.0)
    table = np.log10(background / np.maximum(np.arange(256), 1)).astype(np.float32)
    density: NDArray[np.float32] = cv2.LUT(green, table)
    return density, background / 255


def _gradient_energy(picture: NDArray[np.float32]) -> float:
    across, down = picture[:, 2:] - picture[:, :-2], picture[2:] - picture[:-2]
    return float(np.mean(np.square(across)) + np.mean(np.square(down)))

"""How good a picture is, measured: first without knowing anything of it, then by the cells that were found in it.

`look` is cheap enough for every frame of a live view. `inspect` needs the scale and the finder's boxes, and measures in
micrometres: how wide the rims of red cells are tells the focus of a single picture, which has none to compare with.
What is measured here is judged elsewhere: `assessment` decides whether a picture or a frame counts, `counting.gate` which frames of a stream do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.channels import Channels, channels
from edgeleuk.rims import above_surroundings, crossed
from edgeleuk.types import Boxes, Image

LOOKED_AT = 640
"""Long side of the copy that is measured, pixels: a 100x field's red cells are then 20 to 60 pixels wide."""
FINE, COARSE = 0.8, 2.4
"""Standard deviations of the two blurs that sharpness compares, pixels of the copy. The fine one keeps the sensor's
noise out."""
BACKGROUND = 97.0
"""Percentile of brightness that stands for the empty slide: some of it shows even between crowded cells."""
FINE_UM, COARSE_UM = 0.3, 0.9
"""The same, um, where the scale is known: what a lens resolves, and the width of a blurred rim."""
COVERED = 0.06
"""Optical density above the background that takes something to be there; a pale red cell has twice as much."""
CLIPPED = 254
MOST = 300
"""Red cells whose neighbours are looked for."""
MOST_RIMS = 60
"""Red cells whose rims are measured; more would not make the median better."""
STAINED = 0.03
"""Optical density above the surroundings that takes something to be there, at least."""
PALEST = 0.4
"""Share of the found cells' median density that takes something to be as stained as they are."""
LARGER = 1.1
"""A found cell's ellipse, times that of its box: its blurred rim is the cell's."""
APART = 1.24
"""Around white cells and platelets, times their boxes: their blurred rims are left out where red cells are looked at."""
TWICE = 1.6
"""Times the density of red cells from which on two of them lie over each other: densities add up (Beer-Lambert), but a
cell's pale middle adds less."""
NUCLEAR = 3.2
"""Times it from which on it is a nucleus, of a white cell that the finder missed or took for a red one."""
LAYER_UM = 1.25
"""Least width of a place where cells lie over each other."""
OVERLAPPING = 0.25
"""Share of a cell's box, or of its neighbour's where that is smaller, that both share when one lies over the other. Cells
that touch share less."""


@dataclass(frozen=True, slots=True)
class Look:
    """What can be told of a frame without any network."""

    light: float
    """Brightness of the background (green), 0 to 1."""
    clipped: float
    """Share of pixels at the upper end of the sensor, 0 to 1."""
    coverage: float
    """Share of the frame that something stained covers, 0 to 1."""
    contrast: float
    """Optical density between background and the darkest twentieth."""
    sharpness: float
    """Energy of fine gradients over that of coarse ones, 1 and more. Exposure and stain cancel; what is in the frame does
    not wholly, so it compares frames of one slide under one objective."""
    channels: Channels | None = None
    """How its channels go together; None where hardly anything is in it."""


@dataclass(frozen=True, slots=True)
class Detail:
    """What the found cells tell of a picture. None where too few were found to tell."""

    rim_um: float | None
    """Standard deviation of the blur that makes the rims of red cells as wide as they are, median. A sharp cell's own
    rim, a quarter of a micrometre, is in it."""
    fine: float
    """Energy of gradients as fine as FINE_UM over that of COARSE_UM, 1 and more. Rims tell less of a strong blur than it
    has, as they run into each other and red cells look larger."""
    way_um: float | None
    """How far the picture moved while it was taken, if motion is why rims are wider in one direction than in another."""
    contrast: float | None
    """Optical density (green) across the rims of red cells, median: how strong their stain is."""
    crowding: float | None
    """Share of red cells that lie over another cell, 0 to 1."""
    spacing_um: float | None
    """From a red cell's middle to that of the nearest, median."""
    red_cells: float
    """Per 1000 um2."""
    covered: float
    """Share of the picture that something stained covers, 0 to 1."""
    layered: float | None
    """Share of what is stained, beside white cells and platelets, where light went through more than one red cell, 0 to 1."""
    unknown: float
    """Share of what is stained that is none of the found cells, 0 to 1: cells in too thick a place, dirt, or no smear."""


def look(image: Image) -> Look:
    """Measure a frame, (H, W, 3) uint8 RGB. Takes 4 ms for 1280 x 720 on one core of a laptop."""
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
    """Measure a picture (H, W, 3) of square pixels by its red cells (N, 4) and its other cells (M, 4), its pixels."""
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
    """Share of the stained pixels `thin` (H, W) where a density (H, W) says that two cells lie over each other, against its
    median over those that are found cells, `red` (H, W); None without any.

    What is narrower than LAYER_UM is no layer: the dark rim of a cell that refracts, a granule of stain.
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
    """(height, width) True within the ellipses that boxes (N, 4) hold, so much larger."""
    mask = np.zeros((height, width), np.uint8)
    middles, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * larger
    for middle, half in zip(middles.tolist(), halves.tolist(), strict=True):
        centre, axes = (round(middle[0]), round(middle[1])), (max(1, round(half[0])), max(1, round(half[1])))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    return mask > 0


def crowding(some: Boxes, every: Boxes) -> float | None:
    """Share of `some` boxes (N, 4) that lie over another of `every` (M, 4); None where there is none."""
    if not len(some):
        return None
    across, down = (
        np.minimum(some[:, None, axis + 2], every[None, :, axis + 2])
        - np.maximum(some[:, None, axis], every[None, :, axis])
        for axis in (0, 1)
    )
    shared = across.clip(0) * down.clip(0)
    over = shared > OVERLAPPING * np.minimum(_areas(some)[:, None], _areas(every)[None]).clip(1e-9)
    # Each box lies over itself. Four numbers are compared as two, of twice the bits.
    one, other = (np.ascontiguousarray(boxes, np.float32).view(np.int64) for boxes in (some, every))
    same = (one[:, None, 0] == other[None, :, 0]) & (one[:, None, 1] == other[None, :, 1])
    return float((over.sum(axis=1) > same.sum(axis=1)).mean())


def spacing(some: Boxes, every: Boxes, um_per_px: float) -> float | None:
    """Distance of `some` boxes (N, 4) to the nearest other of `every` (M, 4), middle to middle, median, um.

    None where there are fewer than two.
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
    """Gradient energy (mean square) after a fine blur over that after a coarse one, pixels, of a picture (H, W).

    An edge as sharp as the picture can hold gives their ratio; one blurred far beyond the coarse one gives 1. The measure is
    a normalised Tenengrad (Krotkov, International Journal of Computer Vision 1, 1987, 223).
    """
    fine, coarse = (
        _gradient_energy(cv2.GaussianBlur(density, (0, 0), sigma)) for sigma in (finely, coarsely)
    )
    return fine / coarse if coarse > 0 else 1.0


def _small(image: Image) -> NDArray[np.uint8]:
    """The green channel, where both dyes absorb, at LOOKED_AT."""
    factor = min(1.0, LOOKED_AT / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    green: NDArray[np.uint8] = cv2.extractChannel(image, 1)
    return cv2.resize(green, size, interpolation=cv2.INTER_AREA) if factor < 1 else green


def _density(green: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
    """Optical density above the background, (H, W), and the background's brightness 0 to 1."""
    background = max(float(np.percentile(green[::2, ::2], BACKGROUND)), 1.0)
    table = np.log10(background / np.maximum(np.arange(256), 1)).astype(np.float32)
    density: NDArray[np.float32] = cv2.LUT(green, table)
    return density, background / 255


def _gradient_energy(picture: NDArray[np.float32]) -> float:
    across, down = picture[:, 2:] - picture[:, :-2], picture[2:] - picture[:-2]
    return float(np.mean(np.square(across)) + np.mean(np.square(down)))

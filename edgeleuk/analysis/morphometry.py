"""Measurements of white cells without a network.

Measured are diameter, areas, N:C ratio and nuclear lobes. The cell is the best closed outline around the
middle of the finder's box. Histograms taken from the box itself separate the colours inside from those
outside, so that stain and camera do not matter, and neighbouring red cells are outside like the background
is. The nucleus is what absorbs most green light inside that outline.

Lengths are micrometres in both axes throughout: squeezed pictures are resampled to round cells first.
Thresholds that name no other source were set on training data: fields of txl and chula, cells of deepapl.

Weak where stain gives little contrast: granules over a basophil's nucleus, cytoplasm as dark as the nucleus,
overlapping lobes (they count as one), arms of cytoplasm that no straight ray from the middle reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.analysis.cell_outline import REACH, filled, outlines
from edgeleuk.imaging.resampling import Resampling
from edgeleuk.types import Image, Morphometry, Scale

Box = tuple[float, float, float, float]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

WORKING_UM_PER_PX = 0.125
"""Scale of the grid on which cells are measured, um per pixel.

Two pixels to the 0.27 um that a 100x oil objective resolves (Rayleigh: 0.61 x 0.55 um / NA 1.25).
"""

MAX_CELL_UM_PER_PX = 0.8
"""Coarsest scale at which cells are measured, um per pixel.

Sharp 0.102 um cells, averaged to 0.8, keep their diameter within 3 %.
"""
MAX_NUCLEUS_UM_PER_PX = 0.6
"""Coarsest scale at which nuclei are measured, um per pixel.

Up to it the N:C ratio stays within 0.05.
"""
MAX_LOBES_UM_PER_PX = 0.3
"""Coarsest scale at which lobes are counted, um per pixel.

Up to it the count of lobes does not change; by 0.4 a quarter of the segmented nuclei look whole.
"""

BOX_SIDES_UM = (4.0, 40.0)
"""Minimum and maximum side of a white-cell box, um.

No white cell of a smear is smaller or larger: a box beyond that is none, or the scale is wrong.
"""
BOX_FILL = (0.6, 1.15)
"""Accepted cell area over the area of the box's ellipse.

Usual is 0.7 to 1.
"""
NC_RANGE = (0.05, 1.0)
MIN_SUPPORT = 0.7
"""Minimum support of an outline, see Segmentation.support.

Bare background gives under 0.6, white cells 1 to 5.
"""
MIN_NUCLEUS_DENSITY = 0.12
"""Minimum green optical density of a nucleus.

Nuclei reach 0.14 on the palest camera seen, 1.2 on the darkest; noise less.
"""
MAX_NUCLEUS_SPLIT = 0.82
"""Maximum `nucleus_split` of a nucleus that is not compact.

Neutrophils and eosinophils reach 0.78. Above are blasts whose cytoplasm is as dark as their nucleus,
basophils whose granules hide it, and smudge cells: outlines there are ragged, and only a compact one is
accepted.
"""
MIN_COMPACTNESS = 0.92
"""Minimum nucleus area over that of its convex hull.

Round nuclei reach it even where contrast is low.
"""
MIN_NUCLEUS_CONTRAST = 1.15
"""Minimum density of the nucleus over that of the surroundings.

Red cells measure about 1, white cells 1.2 to 5.
"""

NECK_TO_LOBE = 1 / 3
"""Neck width over lobe width below which lobes are separate.

The rule of thirds: a nucleus is segmented where it is narrower than a third of its widest part. DocCheck
Flexikon, "Segmentkerniger Granulozyt" (Drittelregel; the stricter Fadenregel asks for a filament).
"""
MIN_LOBE_UM = 0.55
"""Half-width of the smallest lobe, um.

What is narrower is a strand, a granule or a ragged edge.
"""
MAX_LOBES = 5
MAX_HOLE_UM2 = 1.5
"""Maximum area of a hole that is filled, um2.

Such holes are pale chromatin; larger ones are the middle of a ring-shaped nucleus.
"""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Masks of one white cell and its nucleus.

    The grid has square pixels and is cut from the frame around the cell's box.
    """

    cell: Mask
    """(H, W) mask of the cell, the nucleus included."""
    nucleus: Mask
    """(H, W) mask of the nucleus, inside `cell`.

    All false where none was found.
    """
    origin: tuple[int, int]
    """Top left corner of the grid, x y, frame pixels."""
    resampling: Resampling
    """Mapping from frame pixels, counted from `origin`, to the grid."""
    px_area_um2: float
    """Area of one grid pixel, um2."""
    box_fill: float
    """Cell area over the area of the box's ellipse."""
    support: float
    """Colour difference across the outline, see `cell_outline.outlines`.

    0 where both sides of the outline look the same.
    """
    nucleus_density: float
    """Median green optical density of the nucleus.

    0 is bare glass.
    """
    nucleus_split: float
    """Density threshold of the nucleus over its median density.

    The threshold separates nucleus from cytoplasm. Near 1 it separates mere spots.
    """
    nucleus_contrast: float
    """`nucleus_density` over the density of the surroundings.

    The latter is exceeded by a tenth of the surroundings, usually red cells.
    """

    def outlines(self, mask: Mask) -> list[Floats]:
        """Return the outer outlines of `cell` or `nucleus`.

        Each is (n, 2) x y in frame pixels.
        """
        lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        factors = np.array([self.resampling.factor_x, self.resampling.factor_y], np.float32)
        return [
            (line[:, 0] + np.float32(0.5)) / factors + np.array(self.origin, np.float32) for line in lines
        ]


def measure(image: Image, scale: Scale, boxes: Sequence[Box]) -> list[Morphometry]:
    """Measure the white cells in boxes.

    Args:
        image: (H, W, 3) uint8 RGB.
        scale: Scale of `image`.
        boxes: x1 y1 x2 y2, frame pixels.

    Returns:
        One Morphometry for each box, with None and a reason where a value cannot be measured.
    """
    unfit = [_unfit(image, scale, box) for box in boxes]
    fit = [box for box, reason in zip(boxes, unfit, strict=True) if reason is None]
    found = iter(segment(image, scale, fit))
    return [Morphometry(reason=reason) if reason else _assess(next(found), scale) for reason in unfit]


def _unfit(image: Image, scale: Scale, box: Box) -> str | None:
    """Return why nothing can be measured in `box`, or None."""
    height, width = image.shape[:2]
    sides = ((box[2] - box[0]) * scale.um_per_px_x, (box[3] - box[1]) * scale.um_per_px_y)
    if _coarsest(scale) > MAX_CELL_UM_PER_PX:
        return "the picture is too coarse"
    if box[0] < 1 or box[1] < 1 or box[2] > width - 1 or box[3] > height - 1:
        return "the picture's edge cuts the cell"
    if not BOX_SIDES_UM[0] <= min(sides) <= max(sides) <= BOX_SIDES_UM[1]:
        return "the box is no white cell's size"
    return None


def _coarsest(scale: Scale) -> float:
    """Return the coarser of both axes, um per pixel.

    A squeezed picture shows no more detail than that axis.
    """
    return max(scale.um_per_px_x, scale.um_per_px_y)


def _assess(found: Segmentation, scale: Scale) -> Morphometry:
    """Return the measurements of `found` that pass their checks."""
    if found.support < MIN_SUPPORT:
        return Morphometry(reason="the cell's outline cannot be told from what surrounds it")
    if not BOX_FILL[0] <= found.box_fill <= BOX_FILL[1]:
        return Morphometry(reason="the cell's outline does not fit its box")
    area = float(found.cell.sum() * found.px_area_um2)
    diameter = 2 * (area / np.pi) ** 0.5
    nucleus = float(found.nucleus.sum() * found.px_area_um2)
    if doubt := _doubt_of_nucleus(found, nucleus / area, scale):
        return Morphometry(diameter, area, reason=doubt)
    if _coarsest(scale) > MAX_LOBES_UM_PER_PX:
        return Morphometry(
            diameter, area, nucleus, nucleus / area, reason="the picture is too coarse to count lobes"
        )
    return Morphometry(diameter, area, nucleus, nucleus / area, count_lobes(found.nucleus))


def _doubt_of_nucleus(found: Segmentation, nc_ratio: float, scale: Scale) -> str | None:
    """Return why the nucleus is unreliable, or None."""
    if _coarsest(scale) > MAX_NUCLEUS_UM_PER_PX:
        return "the picture is too coarse to tell the nucleus"
    if found.nucleus_density < MIN_NUCLEUS_DENSITY:
        return "the stain is too pale to tell the nucleus"
    if found.nucleus_contrast < MIN_NUCLEUS_CONTRAST:
        return "nothing in the cell is darker than what surrounds it"
    if found.nucleus_split > MAX_NUCLEUS_SPLIT and _compactness(found.nucleus) < MIN_COMPACTNESS:
        return "nucleus and cytoplasm are equally dark"
    if not NC_RANGE[0] <= nc_ratio <= NC_RANGE[1]:
        return "the dark part is too small for a nucleus"
    return None


def _compactness(mask: Mask) -> float:
    """Return area over that of the convex hull, 0 to about 1."""
    hull = cv2.convexHull(np.argwhere(mask).astype(np.int32))
    return float(mask.sum() / max(1.0, cv2.contourArea(hull)))


def segment(image: Image, scale: Scale, boxes: Sequence[Box]) -> list[Segmentation]:
    """Outline white cells and their nuclei.

    Every box gets a result; `measure` decides which results are reliable.

    Args:
        image: (H, W, 3) uint8 RGB.
        scale: Scale of `image`.
        boxes: x1 y1 x2 y2, frame pixels. They must lie in the picture and have sides within BOX_SIDES_UM.
    """
    if not boxes:
        return []
    windows = [_window(image, scale, box) for box in boxes]
    passed = [_transmission(window.crop) for window in windows]
    edges, support = outlines(passed, [window.box for window in windows])
    return [
        _segmented(window, scale, *each)
        for window, *each in zip(windows, passed, edges, support.tolist(), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Window:
    """Surroundings of a box at the working scale.

    With the mapping back to the frame.
    """

    crop: Image
    box: Floats
    """(4,) box in the crop's pixels."""
    origin: tuple[int, int]
    resampling: Resampling


def _segmented(window: _Window, scale: Scale, passed: Floats, edge: Floats, support: float) -> Segmentation:
    cell = filled(edge, window.box, passed.shape[:2])
    density = _green_density(passed)
    nucleus, split = _nucleus(density, cell)
    dark = float(np.median(density[nucleus])) if nucleus.any() else 0.0
    ellipse = np.pi / 4 * float(np.prod(window.box[2:] - window.box[:2]))
    resampling = window.resampling
    return Segmentation(
        cell=cell,
        nucleus=nucleus,
        origin=window.origin,
        resampling=resampling,
        px_area_um2=scale.um_per_px_x * scale.um_per_px_y / (resampling.factor_x * resampling.factor_y),
        box_fill=float(cell.sum()) / ellipse,
        support=support,
        nucleus_density=dark / DENSITY_LEVELS,
        nucleus_split=split,
        nucleus_contrast=dark / max(1.0, float(np.percentile(density[~cell], 90))),
    )


def _window(image: Image, scale: Scale, box: Box) -> _Window:
    """Cut the surroundings of `box` at the working scale.

    Uses whole frame pixels and their exact resampling, where `resampling.crop_um` would round the scale itself:
    in a coarse picture that costs three per cent of the area.
    """
    height, width = image.shape[:2]
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    reach_x, reach_y = REACH * (box[2] - box[0]) / 2, REACH * (box[3] - box[1]) / 2
    left, top = max(0, int(np.floor(x - reach_x))), max(0, int(np.floor(y - reach_y)))
    right, bottom = min(width, int(np.ceil(x + reach_x))), min(height, int(np.ceil(y + reach_y)))
    resampling = Resampling.to_scale(right - left, bottom - top, scale, WORKING_UM_PER_PX)
    inner = resampling.forward(np.array([box], np.float32) - np.array([left, top, left, top], np.float32))[0]
    return _Window(resampling.apply(image[top:bottom, left:right]), inner, (left, top), resampling)


def _transmission(crop: Image) -> Floats:
    """Return the transmitted share of light, (H, W, 3), 0 to 1.

    By channel. The brightest pixels are bare glass.
    """
    smooth = cv2.GaussianBlur(crop, (3, 3), 0)
    grey = cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY)
    light = np.median(smooth[grey >= np.percentile(grey, 95)], axis=0).astype(np.float32)
    passed: Floats = np.clip((smooth + np.float32(1)) / (light + 1), 0.004, 1.0)
    return passed


DENSITY_LEVELS = 160
"""Grey levels per unit of optical density.

255 is 1.6, denser than any nucleus is.
"""


def _green_density(passed: Floats) -> Image:
    """Return the smoothed optical density in green, (H, W) uint8.

    `passed`: (H, W, 3) transmission. The result has DENSITY_LEVELS to the unit. Smoothing evens out
    chromatin.

    Green, because azure B and eosin Y together on DNA absorb at 552 nm, the band that makes nuclei purple:
    Friedrich, Seiffert and Zimmermann, Histochemistry 93, 247-256, 1990. Blue cytoplasm, azure B alone,
    absorbs red.
    """
    levels = np.clip(-np.log10(passed[..., 1]) * DENSITY_LEVELS, 0, 255).astype(np.uint8)
    smooth: Image = cv2.GaussianBlur(cv2.medianBlur(levels, 5), (5, 5), 0)
    return smooth


def _nucleus(density: Image, cell: Mask) -> tuple[Mask, float]:
    """Segment the nucleus, (H, W), and return its `nucleus_split`.

    The threshold separates the pixels of `cell` by density: Otsu, IEEE Transactions on Systems, Man, and
    Cybernetics 9 (1), 62-66, 1979.
    """
    threshold, _ = cv2.threshold(density[cell], 0, 255, cv2.THRESH_OTSU)
    darker = (density > threshold) & cell
    split = float(threshold / np.median(density[darker])) if darker.any() else 1.0
    return _solid(darker), split


def _solid(mask: Mask) -> Mask:
    """Fill small holes and remove bodies too narrow for a lobe.

    `mask`: (H, W).
    """
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    filled = mask | (stats[:, cv2.CC_STAT_AREA] < MAX_HOLE_UM2 / WORKING_UM_PER_PX**2)[holes]
    count, bodies = cv2.connectedComponents(filled.astype(np.uint8))
    wide = np.zeros(count, np.bool_)
    wide[bodies[_depth(filled, WORKING_UM_PER_PX) >= MIN_LOBE_UM]] = True
    kept: Mask = wide[bodies] & filled
    return kept


def _depth(mask: Mask, um_per_px: float) -> Floats:
    """Return the distance of each pixel to the mask's edge, um.

    `mask`: (H, W). Beyond the array is outside.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    depth: Floats = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] * um_per_px
    return depth


def count_lobes(nucleus: Mask, um_per_px: float = WORKING_UM_PER_PX) -> int:
    """Count the lobes of a nucleus, 1 to 5.

    Uses the rule of thirds (NECK_TO_LOBE). `nucleus`: (H, W) mask of square pixels.
    """
    left, top, width, height = cv2.boundingRect(nucleus.astype(np.uint8))
    part = nucleus[top : top + height, left : left + width]
    return min(MAX_LOBES, max(1, _segments(_depth(part, um_per_px), 0.0))) if part.size else 1


NECK_STEP_UM = 0.06
"""Step of the peeling, um: half a working pixel."""


def _segments(depth: Floats, neck: float) -> int:
    """Count the segments of one body by peeling.

    Parts that separate when `neck` (half-width) is peeled off were joined by it. A separation counts where
    the neck is narrow compared with the *smaller* piece, and never for mere bumps.
    """
    for peeled in np.arange(neck, float(depth.max()) * NECK_TO_LOBE, NECK_STEP_UM):
        count, labels = cv2.connectedComponents((depth > peeled).astype(np.uint8))
        if count <= 2:  # the outside and one piece
            continue
        pieces = [np.where(labels == label, depth, np.float32(0)) for label in range(1, count)]
        lobes = [piece for piece in pieces if piece.max() >= max(MIN_LOBE_UM, peeled / NECK_TO_LOBE)]
        if len(lobes) > 1:
            return sum(_segments(lobe, peeled) for lobe in lobes)
    return 1

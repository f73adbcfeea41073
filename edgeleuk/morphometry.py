"""What can be measured on a white cell rather than learned: diameter, areas, N:C ratio, nuclear lobes.

No network. The cell is the best closed outline around the middle of the finder's box: colours inside are told
from colours outside by histograms taken from the box itself, so that stain and camera do not matter, and
neighbouring red cells are outside like the background is. The nucleus is what absorbs most green light inside
that outline.

Lengths are micrometres in both axes throughout: squeezed pictures are resampled to round cells first.
Thresholds that name no other source were set on training data: fields of txl and chula, cells of deepapl.

Weak where stain gives nothing to hold on to: granules over a basophil's nucleus, cytoplasm as dark as the
nucleus, overlapping lobes (they count as one), arms of cytoplasm that no straight ray from the middle
reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.optics import Resampling
from edgeleuk.outline import REACH, filled, outlines
from edgeleuk.types import Image, Morphometry, Scale

Box = tuple[float, float, float, float]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

WORKING_UM_PER_PX = 0.125
"""Two pixels to the 0.27 um that a 100x oil objective resolves (Rayleigh: 0.61 x 0.55 um / NA 1.25)."""

MAX_CELL_UM_PER_PX = 0.8
"""Beyond this nothing is measured. Sharp 0.102 um cells, averaged to 0.8, keep their diameter within 3 %."""
MAX_NUCLEUS_UM_PER_PX = 0.6
"""To there their N:C ratio stays within 0.05."""
MAX_LOBES_UM_PER_PX = 0.3
"""To there they keep their count of lobes; by 0.4 a quarter of the segmented ones look whole."""

BOX_SIDES_UM = (4.0, 40.0)
"""No white cell of a smear is smaller or larger; a box beyond that is none, or the scale is wrong."""
BOX_FILL = (0.6, 1.15)
"""Cell area over that of the ellipse in its box, where the outline is believed. Usual is 0.7 to 1."""
NC_RANGE = (0.05, 1.0)
MIN_SUPPORT = 0.7
"""Of the outline, see Segmentation.support: bare background gives under 0.6, white cells 1 to 5."""
MIN_NUCLEUS_DENSITY = 0.12
"""Green optical density. Nuclei reach 0.14 on the palest camera seen, 1.2 on the darkest; noise less."""
MAX_NUCLEUS_SPLIT = 0.82
"""Neutrophils and eosinophils reach 0.78. Above stand blasts whose cytoplasm is as dark as their nucleus,
basophils whose granules hide it, smudges: outlines there are ragged, and only a compact one is believed.
"""
MIN_COMPACTNESS = 0.92
"""Nucleus area over that of its convex hull. Round nuclei keep it even where little sets them off."""
MIN_NUCLEUS_CONTRAST = 1.15
"""Nucleus density over that of the cell's surroundings: red cells measure about 1, white cells 1.2 to 5."""

NECK_TO_LOBE = 1 / 3
"""The rule of thirds: a nucleus is segmented where it is narrower than a third of its widest part.

DocCheck Flexikon, "Segmentkerniger Granulozyt" (Drittelregel; the stricter Fadenregel asks for a filament).
"""
MIN_LOBE_UM = 0.55
"""Half-width of the smallest lobe; what is narrower is a strand, a granule or a ragged edge."""
MAX_LOBES = 5
MAX_HOLE_UM2 = 1.5
"""Pale chromatin; larger holes are the middle of a ring-shaped nucleus."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """One white cell and its nucleus, on a grid of square pixels cut from the frame around its box."""

    cell: Mask
    """(H, W), the nucleus included."""
    nucleus: Mask
    """(H, W), inside `cell`; all false where none was found."""
    origin: tuple[int, int]
    """x, y of the grid's top left corner, frame pixels."""
    resampling: Resampling
    """From frame pixels, counted from `origin`, to the grid."""
    px_area_um2: float
    """Of one grid pixel."""
    box_fill: float
    """Cell area over the area of the ellipse in the box."""
    support: float
    """See outline.outlines: 0 where both sides of the outline look the same."""
    nucleus_density: float
    """Median green optical density of the nucleus; 0 is bare glass."""
    nucleus_split: float
    """Density that divides nucleus from cytoplasm over the nucleus's own. Near 1 it divides mere spots."""
    nucleus_contrast: float
    """`nucleus_density` over the density that a tenth of the surroundings exceed, red cells as a rule."""

    def outlines(self, mask: Mask) -> list[Floats]:
        """Outer outlines of `cell` or `nucleus`, each (n, 2) x y in frame pixels."""
        lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        factors = np.array([self.resampling.factor_x, self.resampling.factor_y], np.float32)
        return [
            (line[:, 0] + np.float32(0.5)) / factors + np.array(self.origin, np.float32) for line in lines
        ]


def measure(image: Image, scale: Scale, boxes: Sequence[Box]) -> list[Morphometry]:
    """The white cells in `boxes` (x1 y1 x2 y2, frame pixels), measured; None and a reason where one cannot be."""
    unfit = [_unfit(image, scale, box) for box in boxes]
    fit = [box for box, reason in zip(boxes, unfit, strict=True) if reason is None]
    found = iter(segment(image, scale, fit))
    return [Morphometry(reason=reason) if reason else _judge(next(found), scale) for reason in unfit]


def _unfit(image: Image, scale: Scale, box: Box) -> str | None:
    """Why nothing can be measured in `box`, or None."""
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
    """A squeezed picture tells no more than its poorer axis."""
    return max(scale.um_per_px_x, scale.um_per_px_y)


def _judge(found: Segmentation, scale: Scale) -> Morphometry:
    """As much of `found` as passes its checks."""
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
    """Why the nucleus is not to be believed, or None."""
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
    """Area over that of the convex hull, 0 to about 1."""
    hull = cv2.convexHull(np.argwhere(mask).astype(np.int32))
    return float(mask.sum() / max(1.0, cv2.contourArea(hull)))


def segment(image: Image, scale: Scale, boxes: Sequence[Box]) -> list[Segmentation]:
    """Outline the white cells in `boxes` (x1 y1 x2 y2, frame pixels) and their nuclei.

    Boxes must lie in the picture and have sides within BOX_SIDES_UM. It always answers; whether an answer is to be
    believed is `measure`'s to say.
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
    """The surroundings of a box at the working scale, and the way back."""

    crop: Image
    box: Floats
    """(4,) in the crop's pixels."""
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
    """The frame around `box` at the working scale.

    Whole frame pixels and their exact resampling, where `optics.crop_um` would round the scale itself: in a
    coarse picture that costs three per cent of the area.
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
    """Share of the lamp's light that passes, by channel, (H, W, 3), 0 to 1. Brightest is bare glass."""
    smooth = cv2.GaussianBlur(crop, (3, 3), 0)
    grey = cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY)
    light = np.median(smooth[grey >= np.percentile(grey, 95)], axis=0).astype(np.float32)
    passed: Floats = np.clip((smooth + np.float32(1)) / (light + 1), 0.004, 1.0)
    return passed


DENSITY_LEVELS = 160
"""Grey levels to one unit of optical density: 255 is 1.6, denser than any nucleus is."""


def _green_density(passed: Floats) -> Image:
    """Optical density of `passed` (H, W, 3) in green, (H, W) uint8, DENSITY_LEVELS to the unit, chromatin
    smoothed.

    Green, because azure B and eosin Y together on DNA absorb at 552 nm, the band that makes nuclei purple:
    Friedrich, Seiffert and Zimmermann, Histochemistry 93, 247-256, 1990. Blue cytoplasm, azure B alone,
    absorbs red.
    """
    levels = np.clip(-np.log10(passed[..., 1]) * DENSITY_LEVELS, 0, 255).astype(np.uint8)
    smooth: Image = cv2.GaussianBlur(cv2.medianBlur(levels, 5), (5, 5), 0)
    return smooth


def _nucleus(density: Image, cell: Mask) -> tuple[Mask, float]:
    """What is denser, (H, W), than the threshold that divides the pixels of `cell` best; and its
    `nucleus_split`.

    Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9 (1), 62-66, 1979.
    """
    threshold, _ = cv2.threshold(density[cell], 0, 255, cv2.THRESH_OTSU)
    darker = (density > threshold) & cell
    split = float(threshold / np.median(density[darker])) if darker.any() else 1.0
    return _solid(darker), split


def _solid(mask: Mask) -> Mask:
    """`mask` (H, W) with its small holes filled and without bodies too narrow for a lobe."""
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    filled = mask | (stats[:, cv2.CC_STAT_AREA] < MAX_HOLE_UM2 / WORKING_UM_PER_PX**2)[holes]
    count, bodies = cv2.connectedComponents(filled.astype(np.uint8))
    wide = np.zeros(count, np.bool_)
    wide[bodies[_depth(filled, WORKING_UM_PER_PX) >= MIN_LOBE_UM]] = True
    kept: Mask = wide[bodies] & filled
    return kept


def _depth(mask: Mask, um_per_px: float) -> Floats:
    """Distance of each pixel to the nearest outside `mask` (H, W), um. Beyond the array is outside."""
    padded = np.pad(mask, 1).astype(np.uint8)
    depth: Floats = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] * um_per_px
    return depth


def count_lobes(nucleus: Mask, um_per_px: float = WORKING_UM_PER_PX) -> int:
    """Segments, 1 to 5, of a nucleus (H, W) of square pixels, by the rule of thirds (NECK_TO_LOBE)."""
    left, top, width, height = cv2.boundingRect(nucleus.astype(np.uint8))
    part = nucleus[top : top + height, left : left + width]
    return min(MAX_LOBES, max(1, _segments(_depth(part, um_per_px), 0.0))) if part.size else 1


NECK_STEP_UM = 0.06
"""Half a working pixel."""


def _segments(depth: Floats, neck: float) -> int:
    """Segments of one body, by peeling: what falls apart when `neck` (half-width) is peeled off was joined by
    it.

    A fall into pieces counts where the neck is narrow against the *smaller* piece, and never for mere bumps.
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

"""Detection of drawings in pictures, and of joined pictures.

Strokes of a program are told by their colour. Dyes absorb over broad bands, so that light which one channel
keeps whole is never taken away from both others, nor from another one alone. Black strokes are thin where
nuclei are wide. Lines, boxes and scale bars have edges that run straight along the picture's rows or
columns for longer than any cell; the seam between two pictures runs from one end to the other.

Limits were chosen on pictures of all training sources, which have none of it but scale bars
(`quality.toml`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import Boxes, Image

SAMPLED = 700
"""Long side of the sample for colours, pixels.

Pixels are taken, not averaged, so that strokes keep their colour.
"""
EMPTY = 95
"""Percentile of each channel for the empty slide."""
ABSORBED, KEPT = 0.6, 0.04
"""Density limits of a stroke.

The optical density of the channel that a stroke darkens most is at least the first, and that of the channel
that it darkens least is at most the second.
"""
ALIKE = 0.75
"""Minimum density ratio of two absorbed channels.

It is the density of the middle channel over that of the darkest. Red, green and blue ink absorb two
channels.
"""
ALONE = 0.08
"""Maximum density ratio of one absorbed channel.

It is the same ratio as ALIKE. Yellow, cyan and magenta ink absorb one channel alone.
"""
BESIDE = 2
"""Radius that JPEG blurs a stroke by, sample pixels.

Pixels within it are mixed with the stroke.
"""
TOGETHER = 16
"""Minimum number of connected pixels in a stroke.

Fewer are glitter of colour at the rims of cells.
"""
THIN = 9
"""Maximum width of a stroke, sample pixels."""
BLACK, COLOURLESS, DEEPER = 60, 25, 60
"""Limits of a black stroke, levels.

They are the maximum of its brightest channel, the maximum difference of its channels, and how much darker
it is at least than its surroundings.
"""
EDGES = 640
"""Long side of the copy for edges, pixels."""
STEP = 14
"""Minimum step at an edge, levels.

It is measured over two pixels.
"""
LONG = 6
"""Divisor for the length of a straight edge.

Such an edge is at least the copy's short side over LONG. A red cell's rim is straight for a tenth of that.
"""
MARGIN = 8
"""Rows and columns ignored at the picture's edge.

A sensor's rim ends there.
"""
STRONG = 12
"""Level step at which edges are clipped.

With it neither a few nuclei nor a short line make a seam.
"""
FLAT = 1.5
"""Minimum level of the edges beside a seam.

Without it two nuclei would make a seam in a nearly empty field.
"""
BESIDES = (3, 6)
"""Range of columns that a column is compared with.

They are so many columns beside it, from and to. The rims of cells are spread over more columns.
"""
ON = 0.12
"""Minimum stroke share of a box around a drawing.

From it on the drawing was found and not a cell.
"""
TOUCHED = 0.01
"""Minimum stroke share of a drawn-over cell."""
NONE: Boxes = np.empty((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Amount of drawing in a picture."""

    ink: float
    """Pixels in colours without a dye, per 10,000."""
    black: float
    """Pixels of thin black strokes, per 10,000."""
    lines: float
    """Pixels of straight edges, per 10,000.

    They run along rows or columns.
    """
    seam: float
    """Strength of the strongest seam.

    It is that of edges along the row or column that has most, over that of its neighbours: 1 to 2 in a
    field.
    """


def drawn(image: Image, white: Boxes = NONE) -> Drawn:
    """Measure the drawings in a picture.

    `image` is (H, W, 3), and `white` (N, 4) are its white cells, whose nuclei may be as blue as strokes.
    Takes 15 ms for 1280 x 720 on one core of a laptop.
    """
    step = max(1, round(max(image.shape[:2]) / SAMPLED))
    sample = np.ascontiguousarray(image[::step, ::step])
    lines, seam = _edges(image)
    return Drawn(
        1e4 * float(_inked(sample, white / step).mean()), 1e4 * float(_black(sample).mean()), lines, seam
    )


def strokes(image: Image, boxes: Boxes, white: Boxes = NONE) -> NDArray[np.float32]:
    """Return (N,) share of each box under strokes.

    Strokes are coloured ones, with the pixels that JPEG mixed with them.

    Args:
        image: (H, W, 3) picture.
        boxes: (N, 4) boxes in the picture.
        white: (M, 4) white cells, whose nuclei may be as blue as strokes.
    """
    step = max(1, round(max(image.shape[:2]) / SAMPLED))
    inked = _inked(np.ascontiguousarray(image[::step, ::step]), white / step).astype(np.uint8)
    side = 2 * BESIDE + 1
    covered = cv2.integral(cv2.dilate(inked, np.ones((side, side), np.uint8)))
    height, width = inked.shape
    x1, y1 = (boxes[:, at] // step for at in (0, 1))
    x2, y2 = (np.ceil(boxes[:, at] / step) for at in (2, 3))
    left, right = (x.astype(int).clip(0, width) for x in (x1, x2))
    top, bottom = (y.astype(int).clip(0, height) for y in (y1, y2))
    ink = covered[bottom, right] - covered[top, right] - covered[bottom, left] + covered[top, left]
    shares: NDArray[np.float32] = (ink / ((right - left) * (bottom - top)).clip(1)).astype(np.float32)
    return shares


def _inked(sample: Image, white: Boxes) -> NDArray[np.bool_]:
    """Return (h, w) mask of non-dye colours.

    Blue pixels in `white` cells (N, 4) are not included.
    """
    empty = np.percentile(sample[::3, ::3].reshape(-1, 3), EMPTY, axis=0).clip(1)
    table = np.log10(empty / np.arange(256).clip(1)[:, None]).astype(np.float32)
    density = cv2.LUT(sample, table[None])
    red, green, blue = cv2.split(density)
    most, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    possible = (most > ABSORBED) & (least < KEPT)
    if not possible.any():
        return possible
    between = (red + green + blue - most - least) / np.maximum(most, ABSORBED)
    inked = possible & ((between > ALIKE) | (between < ALONE))
    for x1, y1, x2, y2 in white.round().astype(int).clip(0).tolist():
        inked[y1:y2, x1:x2] &= blue[y1:y2, x1:x2] > least[y1:y2, x1:x2]
    return _together(inked)


def _black(sample: Image) -> NDArray[np.bool_]:
    """Return (h, w) mask of thin black strokes."""
    red, green, blue = cv2.split(sample)
    bright, dark = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    beside = cv2.morphologyEx(green, cv2.MORPH_BLACKHAT, np.ones((THIN, THIN), np.uint8))
    beside[[*range(MARGIN), *range(-MARGIN, 0)]] = 0
    beside[:, [*range(MARGIN), *range(-MARGIN, 0)]] = 0
    return _together((bright < BLACK) & (bright - dark < COLOURLESS) & (beside > DEEPER))


def _together(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Remove components smaller than a stroke."""
    if not mask.any():
        return mask
    near = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    things = cv2.connectedComponents(near)[1]
    large = np.bincount(things[mask], minlength=int(things.max()) + 1) >= TOGETHER
    kept: NDArray[np.bool_] = mask & large[things]
    return kept


def _edges(image: Image) -> tuple[float, float]:
    """Return `Drawn.lines` and `Drawn.seam`."""
    factor = min(1.0, EDGES / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    green = cv2.extractChannel(image, 1)
    small = cv2.resize(green, size, interpolation=cv2.INTER_AREA) if factor < 1 else green
    long = max(1, min(small.shape) // LONG)
    straight, strongest = 0, 1.0
    for turned in (small, np.ascontiguousarray(small.T)):
        inner = turned[:, MARGIN:-MARGIN]
        steps = cv2.absdiff(inner[:, 2:], inner[:, :-2])
        edges = cv2.erode((steps > STEP).astype(np.uint8), np.ones((long, 1), np.uint8), borderValue=0)
        straight += int(np.count_nonzero(edges))
        strongest = max(strongest, _peak(cv2.min(steps, STRONG).mean(axis=0)))
    return 1e4 * straight / small.size, strongest


def _peak(profile: NDArray[np.float64]) -> float:
    """Return the relative height of the largest value.

    It is relative to the values (n,) a little before and after it.
    """
    if len(profile) <= 2 * BESIDES[-1]:
        return 1.0
    first, last = BESIDES
    middle = profile[last:-last]
    around = [
        profile[last + by : len(profile) - last + by] for by in range(-last, last + 1) if abs(by) >= first
    ]
    return float((middle / np.maximum(np.median(around, axis=0), FLAT)).max())

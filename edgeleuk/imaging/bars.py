"""Detection of the bars that films and phones add.

A bar lies beside the picture, has one colour up to the picture's edge and ends on a straight line, where
the picture begins. No smear does that: where its outermost rows are empty slide, they end in cells, which
leave gaps between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.field_of_view import find_ellipse
from edgeleuk.types import FieldOfView, Image

SAMPLES = 256
"""Number of pixels sampled per row."""
EVEN = 10
"""Maximum deviation from the bar's colour, levels.

It allows for noise, and for what JPEG makes of the end of a bar.
"""
ALL = 0.97
"""Minimum bar-coloured share of a bar's outermost row."""
MOST = 0.6
"""Minimum bar-coloured share of the other rows.

It is lower because there may be words in the bar.
"""
OTHER = 6
"""Minimum contrast between bar and picture, levels."""
STRAIGHT = 0.75
"""Minimum differing share beside a bar's end.

A pixel differs by more than OTHER.
"""
LEAST = 3
"""Minimum rows of a bar.

Fewer rows are the rim of a sensor.
"""
LEAST_SIDE = 64
"""Minimum side of the picture between bars, pixels."""
BLENDED = 1
"""Rows at a bar's end that are blended.

They mix bar and picture.
"""


def find_field_of_view(image: Image) -> FieldOfView | None:
    """Find the part of a picture that shows the slide.

    `image` is (H, W, 3). The part lies between bars and within the field of view of an eyepiece. Takes 10
    ms on one core of a laptop.

    Returns:
        The field of view in pixels of the picture; None if the whole picture shows the slide.
    """
    left, top, right, bottom = box = without_bars(image)
    height, width = image.shape[:2]
    if box == (0, 0, width, height):
        return find_ellipse(image)
    field_of_view = find_ellipse(np.ascontiguousarray(image[top:bottom, left:right]))
    return field_of_view.moved(left, top) if field_of_view else FieldOfView.between(left, top, right, bottom)


def without_bars(image: Image) -> tuple[int, int, int, int]:
    """Return the area between bars.

    `image` is (H, W, 3). The result is left, top, right and bottom in its pixels; without bars it is the
    whole picture.
    """
    left, top, right, bottom = 0, 0, image.shape[1], image.shape[0]
    for _ in range(2):  # bars above and below may lie between bars at the sides
        part = image[top:bottom, left:right]
        first, last = _between(part)
        top, bottom = top + first, top + last
        first, last = _between(image[top:bottom, left:right].transpose(1, 0, 2))
        left, right = left + first, left + last
    return left, top, right, bottom


def _between(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the row range between bars.

    The result is the first row after the bar above and the first one of the bar below.
    """
    height = len(image)
    sample = image[:, :: max(1, image.shape[1] // SAMPLES)]
    above, below = _bar(sample), _bar(sample[::-1])
    return (above, height - below) if height - above - below >= LEAST_SIDE else (0, height)


def _bar(sample: NDArray[np.uint8]) -> int:
    """Count the rows of a bar on top.

    `sample` is (H, W, 3). The result is 0 without a bar.
    """
    colour = np.median(sample[0], axis=0).astype(np.int16)
    if len(sample) <= LEAST_SIDE or _like(sample[:1], colour)[0] < ALL:
        return 0
    rows = int((_like(sample, colour) < MOST).argmax())  # 0 also where no row differs
    if rows < LEAST:
        return 0
    last = np.median(sample[rows - 2], axis=0).astype(np.int16)  # the bar may fade towards its end
    beside = np.abs(sample[min(rows + BLENDED, len(sample) - 1)] - last).max(axis=1)
    return rows + BLENDED if (beside > OTHER).mean() >= STRAIGHT else 0


def _like(rows: NDArray[np.uint8], colour: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return (n,) share of bar colour per row.

    Rows are (n, W, 3).
    """
    shares: NDArray[np.float64] = (np.abs(rows - colour) <= EVEN).all(axis=2).mean(axis=1)
    return shares

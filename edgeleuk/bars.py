"""Bars beside a picture, as films and telephones add them: where the picture lies between them.

A bar has one colour up to the picture's edge and ends on a straight line, along which the picture begins. No smear does
that: where its outermost rows are empty slide, they end in cells, which leave gaps between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeleuk.eyepiece import find_disc
from edgeleuk.types import Aperture, Image

SAMPLES = 256
"""Pixels of a row that are looked at."""
EVEN = 10
"""Levels by which a bar's pixels differ from its colour: noise, and what JPEG makes of its end."""
ALL = 0.97
"""Share of a bar's outermost row that has its colour."""
MOST = 0.6
"""Share of each of its other rows: there may be words in it."""
OTHER = 6
"""Levels by which the picture differs from the bar where it begins."""
STRAIGHT = 0.75
"""Share of the row beside a bar's end that differs so."""
LEAST = 3
"""Rows of a bar; fewer are the rim of a sensor."""
LEAST_SIDE = 64
"""Of the picture between bars, pixels."""
BLENDED = 1
"""Rows beside a bar that are mixed of both."""


def find_view(image: Image) -> Aperture | None:
    """What of a picture (H, W, 3) shows the slide: between bars, and within an eyepiece's disc.

    None where all of it does. Takes 10 ms on one core of a laptop.
    """
    left, top, right, bottom = box = without_bars(image)
    height, width = image.shape[:2]
    if box == (0, 0, width, height):
        return find_disc(image)
    disc = find_disc(np.ascontiguousarray(image[top:bottom, left:right]))
    return disc.moved(left, top) if disc else Aperture.between(left, top, right, bottom)


def without_bars(image: Image) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what lies between bars, (H, W, 3) pixels; all of a picture without any."""
    left, top, right, bottom = 0, 0, image.shape[1], image.shape[0]
    for _ in range(2):  # bars above and below may lie between others
        part = image[top:bottom, left:right]
        first, last = _between(part)
        top, bottom = top + first, top + last
        first, last = _between(image[top:bottom, left:right].transpose(1, 0, 2))
        left, right = left + first, left + last
    return left, top, right, bottom


def _between(image: NDArray[np.uint8]) -> tuple[int, int]:
    """The first row after a bar above, and the first one of a bar below."""
    height = len(image)
    sample = image[:, :: max(1, image.shape[1] // SAMPLES)]
    above, below = _bar(sample), _bar(sample[::-1])
    return (above, height - below) if height - above - below >= LEAST_SIDE else (0, height)


def _bar(sample: NDArray[np.uint8]) -> int:
    """Rows of the bar that a picture (H, W, 3) begins with; 0 without one."""
    colour = np.median(sample[0], axis=0).astype(np.int16)
    if len(sample) <= LEAST_SIDE or _like(sample[:1], colour)[0] < ALL:
        return 0
    rows = int((_like(sample, colour) < MOST).argmax())  # 0 also where no row differs
    if rows < LEAST:
        return 0
    last = np.median(sample[rows - 2], axis=0).astype(np.int16)  # it may have faded to here, as shade does
    beside = np.abs(sample[min(rows + BLENDED, len(sample) - 1)] - last).max(axis=1)
    return rows + BLENDED if (beside > OTHER).mean() >= STRAIGHT else 0


def _like(rows: NDArray[np.uint8], colour: NDArray[np.int16]) -> NDArray[np.float64]:
    """(n,) share of rows (n, W, 3) that has a colour."""
    shares: NDArray[np.float64] = (np.abs(rows - colour) <= EVEN).all(axis=2).mean(axis=1)
    return shares

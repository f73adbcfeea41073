"""Whether a picture's three numbers are the levels of red, green and blue light, as a camera shows them.

A dye takes light away: where there is more of it, no channel is brighter. In pictures that hold other numbers, as CIE-LAB,
YCrCb, HSV or a table of false colours, one channel rises where another falls. A nucleus keeps back more red than blue
light, and green most: where it does not, channels were swapped.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import Boxes, Image

LOOKED_AT = 240
"""Long side of the copy that is looked at, pixels."""
AROUND = 61
"""Side of the surroundings that shade and cast are taken from, pixels of the copy: a fourth of it."""
LEAST = 3.0
"""Standard deviation, levels, of the channel that shows most: with less there is nothing to tell from noise."""
CHROMA, WITHIN = (100.0, 156.0), (64.0, 192.0)
"""Where the median of a channel that holds colour differences lies, about 128, and most of its values."""
BRIGHTNESS = 165.0
"""Median, at least, of the channel beside them, which holds brightness."""
SURE = 0.6
"""Score of a white cell whose nucleus is looked at."""
DARKEST = 25.0
"""Percentile of brightness in its box up to which there is its nucleus."""
LEAST_DENSE = 0.1
"""Optical density of a nucleus that tells its hue."""


@dataclass(frozen=True, slots=True)
class Channels:
    """How the channels of a picture go together."""

    opposed: float
    """1 less the least covariance of two channels over the largest variance: 0 for grey, more than 1 where one channel rises
    as another falls."""
    chroma: bool
    """Whether the second and third channel lie about 128, as colour differences do."""
    weakest: float
    """Standard deviation of the channel that shows least over that of the one that shows most."""
    median: float
    """Of the brightest channel, over its brightest hundredth: near 1 where much is empty slide, and low in a negative."""


def channels(image: Image) -> Channels | None:
    """Measure a picture (H, W, 3); None where hardly anything is in it. Takes 2 ms for 1280 x 720 on one core of a laptop."""
    # Every so many pixels, then their means: a fraction of the time, and noise says nothing here.
    step = max(1, max(image.shape[:2]) // (2 * LOOKED_AT))
    sample = np.ascontiguousarray(image[::step, ::step])
    factor = min(1.0, LOOKED_AT / max(sample.shape[:2]))
    size = max(1, round(sample.shape[1] * factor)), max(1, round(sample.shape[0] * factor))
    small = cv2.resize(sample, size, interpolation=cv2.INTER_AREA) if factor < 1 else sample
    levels = cv2.GaussianBlur(small.astype(np.float32), (0, 0), 1)
    rest = (levels - cv2.blur(levels, (AROUND, AROUND))).reshape(-1, 3)
    rest -= rest.mean(axis=0)
    together = rest.T @ rest / len(rest)
    variances = np.diag(together)
    most = float(variances.max())
    if most < LEAST**2:
        return None
    low, middle, high = np.percentile(levels[::3, ::3].reshape(-1, 3), (5, 50, 95), axis=0)
    about = (middle > CHROMA[0]) & (middle < CHROMA[1]) & (low > WITHIN[0]) & (high < WITHIN[1])
    chroma = bool(about[1:].all()) and middle[0] > BRIGHTNESS
    pairs = together[0, 1], together[0, 2], together[1, 2]
    half, full = np.percentile(levels[::3, ::3].max(axis=2), (50, 99))
    weakest = float(np.sqrt(variances.min() / most))
    return Channels(1 - float(min(pairs)) / most, bool(chroma), weakest, float(half / max(full, 1.0)))


@dataclass(frozen=True, slots=True)
class Nuclei:
    """The hue of nuclei: parts of what they keep back most, medians."""

    blue: float
    """How much more blue light than red they keep back."""
    green: float
    """How much more green light than blue."""
    cells: int


def nuclei(small: Image, white: Boxes, scores: NDArray[np.float32]) -> Nuclei | None:
    """The hue of the nuclei in a picture (H, W, 3) with white cells (N, 4) and their scores (N,); None without a sure one.

    One cell may be an eosinophil, whose granules are as dark as its nucleus, and red.
    """
    empty = np.percentile(small[::4, ::4].reshape(-1, 3), 95, axis=0).clip(1)
    told = []
    for x1, y1, x2, y2 in white[scores >= SURE].round().astype(int).clip(0).tolist():
        pixels = small[y1:y2, x1:x2].reshape(-1, 3).astype(np.float32)
        if not len(pixels):
            continue
        bright = pixels.sum(axis=1)
        dark = pixels[bright <= np.percentile(bright, DARKEST)].mean(axis=0)
        red, green, blue = np.log10(empty / dark.clip(1))
        if (most := max(red, green, blue)) > LEAST_DENSE:
            told.append(((blue - red) / most, (green - blue) / most))
    if not told:
        return None
    blue_most, green_most = np.median(told, axis=0).tolist()
    return Nuclei(blue_most, green_most, len(told))

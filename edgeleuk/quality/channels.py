"""Check that pictures hold red, green and blue light levels.

A dye takes light away: where there is more of it, no channel is brighter. In pictures that hold other
values, such as CIE-LAB, YCrCb, HSV or a false-colour table, one channel rises where another falls. A
nucleus absorbs more red than blue light, and green most: where it does not, channels were swapped.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.types import Boxes, Image

LOOKED_AT = 240
"""Long side of the analysed copy, pixels."""
AROUND = 61
"""Window size for removing shading and colour cast.

Side of the window in pixels of the copy: a fourth of its long side.
"""
LEAST = 3.0
"""Minimum standard deviation of the strongest channel, levels.

Below it there is nothing that could be told from noise.
"""
CHROMA, WITHIN = (100.0, 156.0), (64.0, 192.0)
"""Ranges of a colour-difference channel.

The first is that of its median, about 128, and the second that of most of its values.
"""
BRIGHTNESS = 165.0
"""Minimum median of the brightness channel.

It is the channel beside two colour-difference channels.
"""
SURE = 0.6
"""Minimum score of cells with measured nuclei."""
DARKEST = 25.0
"""Brightness percentile that bounds the nucleus."""
LEAST_DENSE = 0.1
"""Minimum optical density of a nucleus."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Relations between the channels of a picture."""

    opposed: float
    """Opposition of the channels.

    1 minus the least covariance of two channels over the largest variance: 0 for grey, above 1 if one
    channel rises as another falls.
    """
    chroma: bool
    """Whether the last two channels are colour differences.

    They are if they lie about 128.
    """
    weakest: float
    """Ratio of smallest to largest channel standard deviation."""
    median: float
    """Relative median of the brightest channel.

    It is the median over the brightest hundredth: near 1 if much of the picture is empty slide, and low in
    a negative.
    """


def channels(image: Image) -> Channels | None:
    """Measure how a picture's channels vary together.

    `image` is (H, W, 3). Takes 2 ms for 1280 x 720 on one core of a laptop.

    Returns:
        The measures; None if the picture has hardly any content.
    """
    # Subsample, then average: takes a fraction of the time, and noise does not matter here.
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
    """Hue of nuclei.

    The values are medians of absorption differences, relative to the absorption of each nucleus's strongest
    channel.
    """

    blue: float
    """Absorption of blue light minus red light."""
    green: float
    """Absorption of green light minus blue light."""
    cells: int


def nuclei(small: Image, white: Boxes, scores: NDArray[np.float32]) -> Nuclei | None:
    """Measure the hue of nuclei.

    A single cell may be an eosinophil, whose granules are as dark as its nucleus, and red.

    Args:
        small: (H, W, 3) picture.
        white: (N, 4) boxes of white cells.
        scores: (N,) scores of the white cells.

    Returns:
        The hue; None if no cell has a score of SURE and a nucleus that is dense enough.
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

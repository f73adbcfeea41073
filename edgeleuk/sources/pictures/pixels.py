"""Convert decoded images of any depth to 8-bit RGB.

The input has any number of channels. The work is done strip by strip, and shrinks the image as it goes.

A 48-megapixel image of 16 bits has 288 MB when decoded. Nothing of its size is allocated a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.resampling import resize
from edgeleuk.types import Image

STRIP = 1 << 20
"""Approximate number of pixels processed at a time."""
HOT = 1e-4
"""Maximum share of pixels beyond a camera's range.

They are hot pixels, and floats slightly over 1. They become white.
"""
BITS = 34
"""Number of bins of the bit-length histogram.

There is one for each bit length of a number, and one more for numbers below a half.
"""
GREY_DIFFERENCE = 4
"""Maximum channel difference of an image without colour.

JPEG adds a few levels.
"""


@dataclass(frozen=True, slots=True)
class _Depth:
    """Mapping of a whole image's numbers to 8 bits."""

    times: int
    """Factor for floats, whose range is 1 or an integer's."""
    bits: int
    """Number of bits in use."""

    @classmethod
    def of(cls, image: NDArray[Any]) -> Self:
        """Measure the depth by the brightest pixels.

        A few are ignored: 16-bit files of 10-, 12- and 14-bit cameras use only the low bits, and a hot pixel
        or a sharpened edge exceeds them.
        """
        if image.dtype == np.uint8:
            return cls(1, 8)
        found = np.zeros(BITS, np.int64)
        for strip in _strips(image, 1):
            _, exponents = np.frexp(_numbers(strip).max(axis=2).astype(np.float64) * (1 - 2**-20))
            found += np.bincount(np.clip(exponents, -1, BITS - 2).ravel() + 1, minlength=BITS)
        beyond = found[::-1].cumsum()[::-1]
        """Number of pixels above 2^(n - 2), by n."""
        bits = int(np.flatnonzero(beyond > max(1, found.sum() * HOT))[-1]) - 1 if found.sum() else 0
        if np.issubdtype(image.dtype, np.floating) and bits <= 1:
            return cls(255, 8)
        return cls(1, max(8, bits))

    def levels(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert a strip to 8-bit levels."""
        if image.dtype == np.uint8:
            return image
        numbers = _numbers(image)
        whole = not np.issubdtype(image.dtype, np.floating)
        numbers = (
            numbers.astype(np.int32 if image.dtype.itemsize < 4 else np.int64)
            if whole
            else (numbers * self.times).astype(np.int64)
        )
        shifted: NDArray[np.uint8] = np.minimum(numbers >> (self.bits - 8), 255).astype(np.uint8)
        return shifted


def to_rgb(decoded: NDArray[Any], shrunk: int = 1, *, premultiplied: bool = False) -> Image:
    """Convert grey, BGR or BGRA of any depth to RGB.

    Transparent pixels become white, as on paper.

    Args:
        decoded: Image (H, W) or (H, W, C). It is given up: where possible, it becomes the result.
        shrunk: Divisor of its sides.
        premultiplied: Whether colours come multiplied by their opacity.
    """
    if decoded.ndim == 2:
        decoded = decoded[..., None]
    if decoded.dtype == np.uint8 and decoded.shape[2] == 3 and shrunk == 1 and decoded.flags.writeable:
        turned: Image = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=decoded)
        return turned
    height, width = decoded.shape[0] // shrunk, decoded.shape[1] // shrunk
    colours = decoded[..., :3] if decoded.shape[2] >= 3 else decoded[..., :1]
    depth, opacity = _Depth.of(colours), None
    if (
        decoded.shape[2] == 4 and decoded[..., 3].any()
    ):  # some programs write an opacity channel and leave it empty
        whole = np.issubdtype(decoded.dtype, np.integer)
        opacity = _Depth(1, 8 * decoded.dtype.itemsize) if whole else _Depth.of(decoded[..., 3:])
    image = np.empty((height, width, 3), np.uint8)
    done = 0
    for strip in _strips(decoded, shrunk):
        levels = depth.levels(strip[..., : colours.shape[2]])
        code = cv2.COLOR_BGR2RGB if levels.shape[2] == 3 else cv2.COLOR_GRAY2RGB
        rgb: Image = cv2.cvtColor(np.ascontiguousarray(levels), code)
        if opacity:
            rgb = _on_white(rgb, opacity.levels(strip[..., 3:]), premultiplied)
        rows = len(strip) // shrunk
        image[done : done + rows] = resize(rgb, width, rows)
        done += rows
    return image


def is_grey(image: Image) -> bool:
    """Return whether an image has no colour."""
    sample = image[:: max(1, image.shape[0] // 256), :: max(1, image.shape[1] // 256)].astype(np.int16)
    return int((sample.max(axis=2) - sample.min(axis=2)).max()) <= GREY_DIFFERENCE


def _strips(image: NDArray[Any], shrunk: int) -> Iterator[NDArray[Any]]:
    """Yield strips whose rows make whole rows when shrunk."""
    rows = max(1, STRIP // (image.shape[1] * shrunk)) * shrunk
    for top in range(0, image.shape[0], rows):
        yield image[top : top + rows]


def _numbers(image: NDArray[Any]) -> NDArray[Any]:
    """Replace negative and non-finite values."""
    if np.issubdtype(image.dtype, np.floating):
        return np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0).clip(0, 2**31)
    return np.maximum(image, 0)


def _on_white(rgb: Image, opacity: NDArray[np.uint8], premultiplied: bool) -> Image:
    share = opacity.astype(np.int32)
    colour = rgb * np.int32(255) if premultiplied else rgb * share
    mixed: Image = np.minimum((colour + 255 * (255 - share) + 127) // 255, 255).astype(np.uint8)
    return mixed

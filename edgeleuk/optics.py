"""Resampling to a scale and its exact inverse; crops in micrometres; the blur of a lens.

Coordinates are pixel edges: a picture of width W spans 0 to W, and resampling maps that span onto 0 to W'.
OpenCV's resize follows the same rule, so a box that goes there and back returns to its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import ScaleError
from edgeleuk.types import Boxes, Image, Scale

Pixels = TypeVar("Pixels", Image, NDArray[np.float32])

MAX_RESAMPLED_MEGAPIXELS = 120
"""No real field needs more at a finder's scale: 120 megapixels are 7.5 mm2 at 0.25 um per pixel."""
BAND = 64
"""Rows or columns that are averaged at a time: their float64 copy stays small on a small computer."""
GRAIN = 2.0**20
"""Parts of a level to which averages are rounded first, so that a half is one on every processor: coarse beside what
float64 rounds by, fine beside what averages differ by."""
MANY_HALVES = 32
"""Where a picture shrinks by a ratio of small numbers, as 4 to 3, many averages are halves. Of p to q in lowest terms it
is one in p if p is even, none if it is odd; below this p all in float64 is faster than those one by one."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """A picture's map from its own pixels to those of a resampled copy."""

    factor_x: float
    """Resampled pixels per original pixel, after rounding the size to whole pixels."""
    factor_y: float
    width: int
    height: int

    @classmethod
    def to_scale(cls, width: int, height: int, scale: Scale, um_per_px: float) -> Resampling:
        """The map that brings a `width` x `height` picture at `scale` to `um_per_px` in both axes.

        Raises ScaleError where the copy would be absurdly large, as under a mistaken scale.
        """
        new_width = max(1, round(width * scale.um_per_px_x / um_per_px))
        new_height = max(1, round(height * scale.um_per_px_y / um_per_px))
        if new_width * new_height > MAX_RESAMPLED_MEGAPIXELS * 1_000_000:
            raise ScaleError(
                f"a picture of {width} x {height} px at {scale.um_per_px:.3g} um per pixel would show "
                f"{width * scale.um_per_px_x / 1000:.1f} x {height * scale.um_per_px_y / 1000:.1f} mm, "
                "more than any objective does. Check --um-per-px, or leave it out."
            )
        return cls(new_width / width, new_height / height, new_width, new_height)

    def apply(self, image: Image) -> Image:
        """The resampled picture, (height, width, 3) uint8."""
        return resize(image, self.width, self.height)

    def forward(self, boxes: Boxes) -> Boxes:
        """Boxes from original to resampled pixels."""
        return boxes * self._factors()

    def back(self, boxes: Boxes) -> Boxes:
        """Boxes from resampled to original pixels."""
        return boxes / self._factors()

    def _factors(self) -> Boxes:
        return np.array([self.factor_x, self.factor_y, self.factor_x, self.factor_y], np.float32)


def resize(image: Pixels, width: int, height: int, *, exact: bool = True) -> Pixels:
    """Resize without aliasing: area averaging along axes that shrink, linear along those that grow.

    `image` is (H, W, 3) or (H, W), 8-bit levels or float32 light; the result is of the same kind. Levels are the same on
    every processor; without `exact` some may be off by one, in half to two thirds of the time.
    """
    for axis, target in ((1, width), (0, height)):
        length = image.shape[axis]
        if target == length:
            continue
        if not exact or target > length or image.dtype != np.uint8 or length % target == 0:
            size = (target, image.shape[0]) if axis else (image.shape[1], target)
            image = cv2.resize(
                image, size, interpolation=cv2.INTER_AREA if target < length else cv2.INTER_LINEAR
            )
        else:
            image = _reduced(image, axis, target)
    return image


def _reduced(image: Pixels, axis: int, target: int) -> Pixels:
    """Area averages of 8-bit levels along one axis, a band at a time: as float64 has them, mostly from float32.

    OpenCV averages levels in float32, whose last bit differs between x86 and ARM: 2 of 10,000 levels then round the
    other way. One level in 10,000 values moves a finder's box by up to 1.2 px, and the search for the scale by more. In
    float64 only halves could, and GRAIN makes these the same. Float32 is faster and decides all that is not near a half:
    an average over n pixels is n products and n sums, each off by 2^-24 of at most 256 in whatever order and with or
    without fused steps, so by n x 2^-15 in all. What is no nearer than twice that rounds the same everywhere.
    """
    length = image.shape[axis]
    doubt = 2 * _taps(length, target) * 2.0**-15
    period = length // gcd(length, target)
    shape = (image.shape[0], target) if axis else (target, image.shape[1])
    reduced = np.empty(shape + image.shape[2:], np.uint8)
    for start in range(0, image.shape[1 - axis], BAND):
        band = np.s_[start : start + BAND] if axis else np.s_[:, start : start + BAND]
        part = image[band]
        size = (target, part.shape[0]) if axis else (part.shape[1], target)
        if period % 2 == 0 and period < MANY_HALVES:
            reduced[band] = _rounded(cv2.resize(part.astype(np.float64), size, interpolation=cv2.INTER_AREA))
            continue
        light = part.astype(np.float32)
        mean = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
        levels, others = (cv2.convertScaleAbs(mean, beta=by) for by in (-doubt, doubt))
        near = np.flatnonzero(levels != others)
        levels.reshape(-1)[near] = _rounded(_averages(light, axis, target, near))
        reduced[band] = levels
    return cast(Pixels, reduced)


def _rounded(mean: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Levels of averages (any shape), which are overwritten: to a multiple of 1 / GRAIN first."""
    coarse = 1.5 * 2.0**52 / GRAIN  # where float64 is spaced so: a sum with it is rounded to that
    mean += coarse
    mean -= coarse
    levels: NDArray[np.uint8] = np.rint(mean, out=mean).astype(np.uint8)
    return levels


def _averages(
    image: NDArray[np.float32], axis: int, target: int, places: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(N,) averages in float64 at places (N,) of the flattened reduction of an image to `target` along an axis."""
    length = image.shape[axis]
    inner = image[0, 0].size if axis else image[0].size
    lines = places // inner
    outer = lines // target
    along = lines - outer * target
    start = (
        places + (outer * (length - target) - along) * inner
    )  # of the line of pixels that the place averages
    levels, means = image.reshape(-1), np.zeros(len(places))
    for pixels, weights in zip(*_weights(length, target), strict=True):
        means += levels.take(start + pixels.take(along) * inner) * weights.take(along)
    return means


def _taps(length: int, target: int) -> int:
    """The most pixels that an average takes part of."""
    return -(-length // target) + 1


@lru_cache(maxsize=64)
def _weights(length: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Which pixels an area average takes, (taps, target), and their weights, (taps, target): OpenCV's own.

    Of as many neighbours as an average takes each has another remainder, and a row that is 1 where that is the
    remainder and 0 elsewhere has the average that is the pixel's weight.
    """
    taps = _taps(length, target)
    remainders = np.arange(taps)[:, None]
    rows = (np.arange(length) % taps == remainders).astype(np.float64)
    weights = cv2.resize(rows, (target, taps), interpolation=cv2.INTER_AREA)
    first = np.arange(target) * length // target
    # One beyond the end has no weight, as none of its remainder is in the average.
    pixels = np.minimum(first + (remainders - first) % taps, length - 1)
    return pixels, weights.astype(np.float64, copy=False)


def point_spread_um(
    numerical_aperture: float, wavelength_um: float, defocus_um: float = 0.0, index: float = 1.0
) -> float:
    """Standard deviation of an objective's point spread in the slide's plane, um.

    In focus 0.21 wavelength / NA (Gaussian closest to the Airy disk in the wide-field microscope: Zhang, Zerubia
    and Olivo-Marin, Applied Optics 46, 2007, 1819). Out of focus a disk of radius defocus x tan(half the cone's
    angle), whose standard deviation along an axis is half its radius. `index` is that of the immersion.
    """
    focus = 0.21 * wavelength_um / numerical_aperture
    sine = min(numerical_aperture / index, 0.99)
    return float(np.hypot(focus, abs(defocus_um) * sine / np.sqrt(1 - sine**2) / 2))


def crop_um(
    image: Image,
    scale: Scale,
    centre: tuple[float, float],
    um_per_px: float,
    size: int,
    outside: int | None = None,
) -> Image:
    """A square crop around `centre` (frame pixels) resampled to `um_per_px`, (size, size, 3) uint8.

    Only the crop is resampled, never the whole frame. Outside the frame its edge repeats, so that a network sees a cell at
    the border before a background of the picture's own colour; or there is the grey level `outside`, for people, whom a
    smeared cell misleads. `centre` must lie inside the frame.
    """
    height, width = image.shape[:2]
    half_w = size * um_per_px / scale.um_per_px_x / 2
    half_h = size * um_per_px / scale.um_per_px_y / 2
    left, top = round(centre[0] - half_w), round(centre[1] - half_h)
    right, bottom = max(left + 1, round(centre[0] + half_w)), max(top + 1, round(centre[1] + half_h))
    inner = image[max(top, 0) : bottom, max(left, 0) : right]
    pads = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if any(pads):
        kind = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
        inner = cv2.copyMakeBorder(inner, *pads, kind, value=[outside or 0] * 3)
    return resize(inner, size, size)

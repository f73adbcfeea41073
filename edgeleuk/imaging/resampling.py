"""Resampling to a scale, crops in micrometres, and lens blur.

Coordinates are pixel edges: a picture of width W spans 0 to W, and resampling maps that span onto 0 to W'.
OpenCV's resize follows the same rule, and the inverse is exact: a box mapped there and back returns to its
place.
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
from edgeleuk.system.wording import option
from edgeleuk.types import Boxes, Image, Scale

Pixels = TypeVar("Pixels", Image, NDArray[np.float32])

MAX_RESAMPLED_MEGAPIXELS = 120
"""Maximum size of a resampled picture, megapixels.

No real field needs more at a finder's scale: 120 megapixels are 7.5 mm2 at 0.25 um per pixel.
"""
BAND = 64
"""Rows or columns averaged at a time.

Their float64 copy stays small on a small computer.
"""
GRAIN = 2.0**20
"""Parts of a level to which averages are rounded first.

A half is then the same on every processor. The parts are coarse compared with the rounding of float64, fine
compared with the differences of averages.
"""
MANY_HALVES = 32
"""Even p of a ratio p:q from which float32 is faster.

Where a picture shrinks by a ratio of small numbers, such as 4 to 3, many averages are halves. Of p to q in
lowest terms one in p is a half if p is even, none if it is odd; below this p computing all in float64 is
faster than recomputing the halves one by one.
"""


@dataclass(frozen=True, slots=True)
class Resampling:
    """Mapping between a picture's pixels and a resampled copy's."""

    factor_x: float
    """Resampled pixels per original pixel along x.

    After rounding the size to whole pixels.
    """
    factor_y: float
    width: int
    height: int

    @classmethod
    def to_scale(cls, width: int, height: int, scale: Scale, um_per_px: float) -> Resampling:
        """Return the resampling to a target scale in both axes.

        Args:
            width: Width of the original picture, pixels.
            height: Height of the original picture, pixels.
            scale: Scale of the original picture.
            um_per_px: Target scale, um per pixel.

        Raises:
            ScaleError: The copy would be absurdly large, as under a wrong scale.
        """
        new_width = max(1, round(width * scale.um_per_px_x / um_per_px))
        new_height = max(1, round(height * scale.um_per_px_y / um_per_px))
        if new_width * new_height > MAX_RESAMPLED_MEGAPIXELS * 1_000_000:
            raise ScaleError(
                f"a picture of {width} x {height} px at {scale.um_per_px:.3g} um per pixel would show "
                f"{width * scale.um_per_px_x / 1000:.1f} x {height * scale.um_per_px_y / 1000:.1f} mm, "
                f"more than any objective does. Check {option('um-per-px')}, or leave it out."
            )
        return cls(new_width / width, new_height / height, new_width, new_height)

    def apply(self, image: Image) -> Image:
        """Resample a picture to (height, width, 3) uint8."""
        return resize(image, self.width, self.height)

    def forward(self, boxes: Boxes) -> Boxes:
        """Map boxes from original to resampled pixels."""
        return boxes * self._factors()

    def back(self, boxes: Boxes) -> Boxes:
        """Map boxes from resampled to original pixels."""
        return boxes / self._factors()

    def _factors(self) -> Boxes:
        return np.array([self.factor_x, self.factor_y, self.factor_x, self.factor_y], np.float32)


def resize(image: Pixels, width: int, height: int, *, exact: bool = True) -> Pixels:
    """Resize an image without aliasing.

    Area averaging along axes that shrink, linear interpolation along those that grow.

    Args:
        image: (H, W, 3) or (H, W), 8-bit levels or float32 light; the result is of the same kind.
        width: New width, pixels.
        height: New height, pixels.
        exact: Whether levels are the same on every processor. Without it some may be off by one, in half to
            two thirds of the time.
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
    """Average 8-bit levels along one axis, a band at a time.

    The result equals that of float64, but is mostly computed in float32.

    OpenCV averages levels in float32, whose last bit differs between x86 and ARM: 2 of 10,000 levels then
    round the other way. One level in 10,000 values moves a finder's box by up to 1.2 px, and the search for
    the scale by more. In float64 only halves could differ, and GRAIN makes these the same. Float32 is faster
    and decides all that is not near a half: an average over n pixels is n products and n sums, each off by
    2^-24 of at most 256 in whatever order and with or without fused steps, so by n x 2^-15 in all. What is no
    nearer to a half than twice that rounds the same everywhere.
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
    """Round averages to 8-bit levels, in place.

    Averages (any shape) are rounded to a multiple of 1 / GRAIN first.
    """
    coarse = (
        1.5 * 2.0**52 / GRAIN
    )  # here float64 values are 1 / GRAIN apart: a sum with it is rounded to that
    mean += coarse
    mean -= coarse
    levels: NDArray[np.uint8] = np.rint(mean, out=mean).astype(np.uint8)
    return levels


def _averages(
    image: NDArray[np.float32], axis: int, target: int, places: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return float64 averages at given places, (N,).

    `places`: (N,) indices into the flattened reduction of the image to `target` along an axis.
    """
    length = image.shape[axis]
    inner = image[0, 0].size if axis else image[0].size
    lines = places // inner
    outer = lines // target
    along = lines - outer * target
    start = places + (outer * (length - target) - along) * inner  # first pixel that the place averages
    levels, means = image.reshape(-1), np.zeros(len(places))
    for pixels, weights in zip(*_weights(length, target), strict=True):
        means += levels.take(start + pixels.take(along) * inner) * weights.take(along)
    return means


def _taps(length: int, target: int) -> int:
    """Return the maximum number of pixels in an average."""
    return -(-length // target) + 1


@lru_cache(maxsize=64)
def _weights(length: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the pixels and weights of area averages.

    Both are (taps, target), as OpenCV computes them.

    As many neighbours as an average takes all have different remainders. A row that is 1 where the remainder
    has a given value and 0 elsewhere has the average that is the weight of the pixel with that remainder.
    """
    taps = _taps(length, target)
    remainders = np.arange(taps)[:, None]
    rows = (np.arange(length) % taps == remainders).astype(np.float64)
    weights = cv2.resize(rows, (target, taps), interpolation=cv2.INTER_AREA)
    first = np.arange(target) * length // target
    # A pixel beyond the end has weight 0, as no pixel of its remainder is in the average.
    pixels = np.minimum(first + (remainders - first) % taps, length - 1)
    return pixels, weights.astype(np.float64, copy=False)


def point_spread_um(
    numerical_aperture: float, wavelength_um: float, defocus_um: float = 0.0, index: float = 1.0
) -> float:
    """Return the standard deviation of the point spread, um.

    In the slide's plane. In focus 0.21 wavelength / NA (Gaussian closest to the Airy disk in the wide-field
    microscope: Zhang, Zerubia and Olivo-Marin, Applied Optics 46, 2007, 1819). Out of focus a disk of radius
    defocus x tan(half the cone's angle), whose standard deviation along an axis is half its radius.

    Args:
        numerical_aperture: NA of the objective.
        wavelength_um: Wavelength of the light, um.
        defocus_um: Distance from the focal plane, um.
        index: Refractive index of the immersion.
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
    """Cut a square crop at a given scale.

    Only the crop is resampled, never the whole frame.

    Args:
        image: (H, W, 3) uint8 RGB.
        scale: Scale of `image`.
        centre: Centre of the crop, x y, frame pixels. Must lie inside the frame.
        um_per_px: Scale of the crop, um per pixel.
        size: Side of the crop, pixels.
        outside: Grey level outside the frame, for people, whom a smeared cell misleads. None repeats the
            frame's edge, so that a network sees a cell at the border before a background of the picture's own
            colour.

    Returns:
        (size, size, 3) uint8.
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

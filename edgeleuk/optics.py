"""Resampling to a scale and its exact inverse; crops in micrometres; the blur of a lens.

Coordinates are pixel edges: a picture of width W spans 0 to W, and resampling maps that span onto 0 to W'.
OpenCV's resize follows the same rule, so a box that goes there and back returns to its place.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    every processor; without `exact` some may be off by one, in a third of the time.
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
    """Area averages of 8-bit levels along one axis, a band at a time.

    OpenCV averages levels in float32, whose last bit differs between x86 and ARM: 2 of 10,000 levels then round the
    other way. One level in 10,000 values moves a finder's box by up to 1.2 px, and the search for the scale by more. In
    float64 only halves could, and GRAIN makes these the same.
    """
    shape = (image.shape[0], target) if axis else (target, image.shape[1])
    reduced = np.empty(shape + image.shape[2:], np.uint8)
    for start in range(0, image.shape[1 - axis], BAND):
        band = np.s_[start : start + BAND] if axis else np.s_[:, start : start + BAND]
        part = image[band].astype(np.float64)
        size = (target, part.shape[0]) if axis else (part.shape[1], target)
        mean = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        reduced[band] = np.rint(np.rint(mean * GRAIN) / GRAIN).astype(np.uint8)
    return cast(Pixels, reduced)


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


def crop_um(image: Image, scale: Scale, centre: tuple[float, float], um_per_px: float, size: int) -> Image:
    """A square crop around `centre` (frame pixels) resampled to `um_per_px`, (size, size, 3) uint8.

    Only the crop is resampled, never the whole frame. Outside the frame its edge repeats, so that a cell at the
    border keeps a background of the picture's own colour. `centre` must lie inside the frame.
    """
    height, width = image.shape[:2]
    half_w = size * um_per_px / scale.um_per_px_x / 2
    half_h = size * um_per_px / scale.um_per_px_y / 2
    left, top = round(centre[0] - half_w), round(centre[1] - half_h)
    right, bottom = max(left + 1, round(centre[0] + half_w)), max(top + 1, round(centre[1] + half_h))
    inner = image[max(top, 0) : bottom, max(left, 0) : right]
    pads = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if any(pads):
        inner = cv2.copyMakeBorder(inner, *pads, cv2.BORDER_REPLICATE)
    return resize(inner, size, size)

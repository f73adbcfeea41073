"""A simulated smear under a simulated microscope: pictures whose truth is known. No model was trained on it.

Light is lost as in a real slide: dyes of cells that lie over each other add in optical density (Beer-Lambert), the
lamp is not white and falls off towards the corners, the objective blurs, the camera sharpens and adds noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import UsageError
from edgeleuk.sources._shapes import UM_PER_PX as PAINT_UM_PER_PX
from edgeleuk.sources._smear import Smear, TrueCell
from edgeleuk.sources._stain import LIGHT_RGB
from edgeleuk.types import Frame

__all__ = ["Camera", "Optics", "Smear", "Stage", "TrueCell", "demo", "truth_document"]

FloatImage = NDArray[np.float32]

STAMPS_KEPT = 600
"""Painted cells in memory, a tenth of a megabyte each: a few fields of a monolayer."""
SHARPEN_SIGMA_PX = 1.2
NOISE_MARGIN = 64


@dataclass(frozen=True, slots=True)
class Optics:
    """Lamp and objective."""

    light_rgb: tuple[float, float, float] = LIGHT_RGB
    """Of empty slide in the middle of the field at exposure 1, 8-bit levels."""
    vignette: float = 0.06
    """Share of the light lost in the corners, growing with the square of the distance from the middle."""
    numerical_aperture: float = 1.25
    wavelength_um: float = 0.55
    immersion_index: float = 1.515
    defocus_um: float = 0.0

    @property
    def blur_um(self) -> float:
        """Standard deviation of the point spread.

        In focus 0.21 wavelength / NA (Gaussian closest to the Airy disk in the wide-field microscope: Zhang, Zerubia
        and Olivo-Marin, Applied Optics 46, 2007, 1819). Out of focus a disk of radius defocus x tan(half the cone's
        angle), whose standard deviation along an axis is half its radius.
        """
        focus = 0.21 * self.wavelength_um / self.numerical_aperture
        sine = min(self.numerical_aperture / self.immersion_index, 0.99)
        return float(np.hypot(focus, abs(self.defocus_um) * sine / np.sqrt(1 - sine**2) / 2))


@dataclass(frozen=True, slots=True)
class Camera:
    """Sensor and its firmware."""

    exposure: float = 0.98
    sharpen: float = 1.0
    """Of the unsharp mask that microscope cameras apply; 0 for none."""
    electrons: float = 50000.0
    """That a full pixel holds: shot noise is the root of their number."""
    seed: int = 0
    """Of the noise. Each field that is taken has noise of its own."""


class Stage:
    """Moves over a smear and takes fields. The stage stops at whole pixels, so a cell looks the same in each field.

    Painted cells are kept, so that a field costs their painting only once. One thread owns a stage.
    """

    def __init__(
        self,
        smear: Smear,
        um_per_px: float = 0.1,
        width: int = 1280,
        height: int = 960,
        *,
        squeeze: float = 1.0,
        optics: Optics | None = None,
        camera: Camera | None = None,
    ) -> None:
        """A camera of `width` x `height` pixels with its field in the middle of the smear.

        `um_per_px` is the scale along y; along x it is um_per_px / squeeze (see Scale.squeeze). Raises UsageError
        if the smear is smaller than a field.
        """
        self.smear = smear
        self.um_per_px = np.array([um_per_px / squeeze, um_per_px])
        self.width, self.height = width, height
        self.optics, self.camera = optics or Optics(), camera or Camera()
        self._size_um = np.array([width, height]) * self.um_per_px
        self._room = np.array([smear.width_um, smear.height_um]) - self._size_um
        if (self._room < -1e-6).any():
            raise UsageError(
                f"a field of {self._size_um[0]:.0f} x {self._size_um[1]:.0f} um does not fit a smear of "
                f"{smear.width_um:g} x {smear.height_um:g} um. Use a larger smear, or a smaller camera."
            )
        self._boxes = np.array([cell.box_um for cell in smear.cells], np.float64).reshape(-1, 4)
        self._stamps: dict[int, _Stamp] = {}
        self._light = _illumination(width, height, self.optics)
        sheet = (height + NOISE_MARGIN, width + NOISE_MARGIN, 3)
        self._sheet = np.random.default_rng(self.camera.seed).standard_normal(sheet, np.float32)
        self._fields = 0
        self._corner = np.zeros(2, np.int64)
        self.move_to(smear.width_um / 2, smear.height_um / 2)

    @property
    def limits_um(self) -> tuple[float, float, float, float]:
        """Least x and y, greatest x and y that the middle of the field can take."""
        low, high = self._size_um / 2, self._size_um / 2 + np.maximum(self._room, 0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def position_um(self) -> tuple[float, float]:
        """Where the middle of the field is, on the slide."""
        x, y = (self._corner + np.array([self.width, self.height]) / 2) * self.um_per_px
        return float(x), float(y)

    def move_to(self, x_um: float, y_um: float) -> None:
        """Bring a point of the slide to the middle of the field, to within half a pixel.

        Raises UsageError where the field would leave the smear.
        """
        x1, y1, x2, y2 = self.limits_um
        slack = float(self.um_per_px.max())
        if not (x1 - slack <= x_um <= x2 + slack and y1 - slack <= y_um <= y2 + slack):
            raise UsageError(
                f"the stage cannot go to ({x_um:g}, {y_um:g}) um. x can be {x1:g} to {x2:g}, y {y1:g} to {y2:g}."
            )
        corner = (np.array([x_um, y_um]) - self._size_um / 2) / self.um_per_px
        last = np.floor(np.maximum(self._room, 0) / self.um_per_px + 1e-6)
        self._corner = np.clip(np.round(corner), 0, last).astype(np.int64)

    def field(self) -> Frame:
        """What the camera sees now, (height, width, 3) uint8 RGB."""
        light = self._light * np.exp(-np.float32(np.log(10)) * self._density())
        levels = self._expose(light, np.random.default_rng((self.camera.seed, self._fields)))
        self._fields += 1
        x, y = self.position_um
        return Frame(levels, f"simulated-{self.smear.seed}-x{x:.1f}-y{y:.1f}")

    def truth(self) -> list[tuple[TrueCell, tuple[float, float, float, float]]]:
        """Every cell that shows in the field, with its box in frame pixels.

        A box reaches beyond the frame where the frame cuts the cell.
        """
        boxes = self._pixel_boxes()
        return [
            (self.smear.cells[i], (float(boxes[i, 0]), float(boxes[i, 1]), float(boxes[i, 2]), float(boxes[i, 3])))
            for i in np.flatnonzero(self._overlaps(boxes, 0))
        ]

    def _pixel_boxes(self) -> NDArray[np.float64]:
        return self._boxes / np.tile(self.um_per_px, 2) - np.tile(self._corner, 2)

    def _overlaps(self, boxes: NDArray[np.float64], margin_px: float) -> NDArray[np.bool_]:
        inside = (boxes[:, :2] < np.array([self.width, self.height]) + margin_px).all(axis=1)
        return inside & (boxes[:, 2:] > -margin_px).all(axis=1)

    def _density(self) -> FloatImage:
        """Optical density of the window, (height, width, 3)."""
        density = np.zeros((self.height, self.width, 3), np.float32)
        margin = float(np.ceil(1.5 / self.um_per_px.min()))
        for i in np.flatnonzero(self._overlaps(self._pixel_boxes(), margin)):
            stamp = self._stamp(self.smear.cells[i])
            left, top = stamp.left - int(self._corner[0]), stamp.top - int(self._corner[1])
            height, width = stamp.density.shape[:2]
            x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + width, self.width), min(top + height, self.height)
            if x1 < x2 and y1 < y2:
                density[y1:y2, x1:x2] += stamp.density[y1 - top : y2 - top, x1 - left : x2 - left]
        return density

    def _stamp(self, cell: TrueCell) -> _Stamp:
        stamp = self._stamps.pop(cell.id, None) or _stamp(self.smear, cell, self.um_per_px)
        self._stamps[cell.id] = stamp  # moved to the end: the front is what was not seen for longest
        if len(self._stamps) > STAMPS_KEPT:
            del self._stamps[next(iter(self._stamps))]
        return stamp

    def _expose(self, light: FloatImage, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Point spread, shot noise and the firmware's sharpening; (height, width, 3) light to 8-bit levels."""
        camera = self.camera
        sigma = self.optics.blur_um / self.um_per_px
        seen = cv2.GaussianBlur(light * np.float32(camera.exposure), (0, 0), sigma[0], sigmaY=sigma[1])
        noise = self._noise(rng)
        noise *= np.sqrt(np.maximum(seen, 0) * np.float32(255 / camera.electrons))
        seen += noise
        if camera.sharpen:
            soft = cv2.GaussianBlur(seen, (0, 0), SHARPEN_SIGMA_PX)
            seen = cv2.addWeighted(seen, 1 + camera.sharpen, soft, -camera.sharpen, 0)
        levels: NDArray[np.uint8] = cv2.convertScaleAbs(np.clip(seen, 0, 255))
        return levels

    def _noise(self, rng: np.random.Generator) -> FloatImage:
        """Unit noise for one field: a window of a larger sheet, since drawing it anew costs as much as the field."""
        x, y = rng.integers(0, NOISE_MARGIN, 2)
        sheet: FloatImage = self._sheet[y : y + self.height, x : x + self.width]
        return sheet * np.float32(rng.choice((-1, 1)))


@dataclass(frozen=True, slots=True)
class _Stamp:
    """A painted cell on the slide's pixel grid."""

    left: int
    top: int
    density: FloatImage
    """(h, w, 3)"""


def _stamp(smear: Smear, cell: TrueCell, um_per_px: NDArray[np.float64]) -> _Stamp:
    density = smear.paint(cell).density
    # Each camera pixel gathers light over its area: blur what is finer before it is sampled.
    sigma = 0.3 * np.sqrt(np.maximum(um_per_px**2 - PAINT_UM_PER_PX**2, 0)) / PAINT_UM_PER_PX
    if (sigma > 0.3).any():
        density = cv2.GaussianBlur(density, (0, 0), max(sigma[0], 1e-3), sigmaY=max(sigma[1], 1e-3))
    half = len(density) * PAINT_UM_PER_PX / 2
    low = np.array([cell.x_um - half, cell.y_um - half])
    first = np.floor(low / um_per_px).astype(int)
    size = np.ceil((low + 2 * half) / um_per_px).astype(int) - first
    step = um_per_px / PAINT_UM_PER_PX
    shift = ((first + 0.5) * um_per_px - low) / PAINT_UM_PER_PX - 0.5
    matrix = np.array([[step[0], 0, shift[0]], [0, step[1], shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(density, matrix, (int(size[0]), int(size[1])), flags=flags)
    return _Stamp(int(first[0]), int(first[1]), sampled)


def _illumination(width: int, height: int, optics: Optics) -> FloatImage:
    """Light on an empty field, (height, width, 3) 8-bit levels."""
    x = (np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1
    y = (np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1
    falloff = 1 - optics.vignette * (x[None] ** 2 + y[:, None] ** 2) / 2
    return falloff[..., None] * np.array(optics.light_rgb, np.float32)


DEMO_SEED = 5
DEMO_WHITE_CELLS = {"neutrophil": 5, "lymphocyte": 4, "monocyte": 2, "eosinophil": 1, "basophil": 1, "blast": 1}
"""Every type that can be told, in a picture small enough to look at. Not the proportions of any patient."""


def demo() -> Stage:
    """The sample that ships: 160 x 120 um at 0.1 um per pixel, one field of 1600 x 1200 pixels."""
    smear = Smear.generate(DEMO_SEED, 160.0, 120.0, DEMO_WHITE_CELLS, red_cells_per_mm2=8000.0, platelets_per_mm2=700.0)
    return Stage(smear, um_per_px=0.1, width=1600, height=1200)


def truth_document(stage: Stage) -> dict[str, Any]:
    """What is in the stage's field, ready for JSON: scale, and each cell with its box in frame pixels."""
    um_per_px_x, um_per_px_y = stage.um_per_px.tolist()
    return {
        "seed": stage.smear.seed,
        "width": stage.width,
        "height": stage.height,
        "um_per_px_x": um_per_px_x,
        "um_per_px_y": um_per_px_y,
        "position_um": list(stage.position_um),
        "cells": [{**cell.as_dict(), "box": list(box)} for cell, box in stage.truth()],
    }

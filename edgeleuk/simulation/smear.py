"""Simulate a smear with known truth.

The smear lies under a simulated microscope. Light is lost as in a real slide: dyes of cells that lie over
each other add in optical density (Beer-Lambert), the lamp is not white and falls off towards the corners, the
objective blurs, the camera sharpens and adds noise.

It is meant for demonstrations and for tests of what surrounds the networks. No network is trained on these
images, but they were tuned until the networks read them: figures measured here say nothing about accuracy on
real smears.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.errors import UsageError
from edgeleuk.simulation.camera import Camera, FloatImage, Optics, View
from edgeleuk.simulation.shapes import UM_PER_PX as PAINT_UM_PER_PX
from edgeleuk.simulation.smear_layout import Smear, TrueCell
from edgeleuk.types import Frame

__all__ = ["Camera", "Optics", "Smear", "Stage", "TrueCell", "demo", "truth_document"]

STAMPS_KEPT = 600
"""Maximum painted cells in memory.

Each takes a tenth of a megabyte; they are a few fields of a monolayer.
"""


class Stage:
    """Stage that takes fields of a smear.

    The stage stops at whole pixels, so a cell looks the same in each field. Painted cells are kept, so that a
    field costs their painting only once. One thread owns a stage.
    """

    def __init__(
        self,
        smear: Smear,
        um_per_px: float = 0.1,
        size: tuple[int, int] = (1280, 960),
        *,
        squeeze: float = 1.0,
        optics: Optics | None = None,
        camera: Camera | None = None,
    ) -> None:
        """Place the field in the middle of the smear.

        Args:
            smear: Smear on the slide.
            um_per_px: Scale along y, micrometres per pixel.
            size: Width and height of the camera's frame, pixels.
            squeeze: Ratio of the scales; along x the scale is um_per_px / squeeze (see Scale.squeeze).
            optics: Lamp and objective.
            camera: Sensor and firmware.

        Raises:
            UsageError: If the smear is smaller than a field.
        """
        self.smear = smear
        self.um_per_px = np.array([um_per_px / squeeze, um_per_px])
        width, height = self.width, self.height = size
        self._view = View(width, height, self.um_per_px, optics or Optics(), camera or Camera())
        self._size_um = np.array([width, height]) * self.um_per_px
        self._room = np.array([smear.width_um, smear.height_um]) - self._size_um
        if (self._room < -1e-6).any():
            raise UsageError(
                f"a field of {self._size_um[0]:.0f} x {self._size_um[1]:.0f} um does not fit a smear of "
                f"{smear.width_um:g} x {smear.height_um:g} um. Use a larger smear, or a smaller camera."
            )
        self._boxes = np.array([cell.box_um for cell in smear.cells], np.float64).reshape(-1, 4)
        self._stamps: dict[int, _Stamp] = {}
        self._corner = np.zeros(2, np.int64)
        self.move_to(smear.width_um / 2, smear.height_um / 2)

    @property
    def limits_um(self) -> tuple[float, float, float, float]:
        """Range of the field's centre, micrometres.

        They are minimum x and y, then maximum x and y.
        """
        low, high = self._size_um / 2, self._size_um / 2 + np.maximum(self._room, 0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def position_um(self) -> tuple[float, float]:
        """Centre of the field on the slide, micrometres."""
        x, y = (self._corner + np.array([self.width, self.height]) / 2) * self.um_per_px
        return float(x), float(y)

    def move_to(self, x_um: float, y_um: float) -> None:
        """Centre the field on a point of the slide.

        It is exact to within half a pixel.

        Raises:
            UsageError: If the field would leave the smear.
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
        """Take a frame, (height, width, 3) uint8 RGB."""
        levels = self._view.field(self._density())
        x, y = self.position_um
        return Frame(levels, f"simulated-{self.smear.seed}-x{x:.1f}-y{y:.1f}")

    def truth(self) -> list[tuple[TrueCell, tuple[float, float, float, float]]]:
        """Return every cell in the field with its box.

        Boxes are in frame pixels. A box reaches beyond the frame where the frame cuts the cell.
        """
        boxes = self._pixel_boxes()
        return [
            (
                self.smear.cells[i],
                (float(boxes[i, 0]), float(boxes[i, 1]), float(boxes[i, 2]), float(boxes[i, 3])),
            )
            for i in np.flatnonzero(self._overlaps(boxes, 0))
        ]

    def _pixel_boxes(self) -> NDArray[np.float64]:
        return self._boxes / np.tile(self.um_per_px, 2) - np.tile(self._corner, 2)

    def _overlaps(self, boxes: NDArray[np.float64], margin_px: float) -> NDArray[np.bool_]:
        before = boxes[:, :2] < np.array([self.width, self.height]) + margin_px
        shows: NDArray[np.bool_] = np.all(before & (boxes[:, 2:] > -margin_px), axis=1)
        return shows

    def _density(self) -> FloatImage:
        """Return the field's optical density, (height, width, 3)."""
        density = np.zeros((self.height, self.width, 3), np.float32)
        margin = float(np.ceil(1.5 / self.um_per_px.min()))
        for i in np.flatnonzero(self._overlaps(self._pixel_boxes(), margin)):
            stamp = self._stamp(self.smear.cells[i])
            left, top = stamp.left - int(self._corner[0]), stamp.top - int(self._corner[1])
            height, width = stamp.density.shape[:2]
            x1, y1, x2, y2 = (
                max(left, 0),
                max(top, 0),
                min(left + width, self.width),
                min(top + height, self.height),
            )
            if x1 < x2 and y1 < y2:
                density[y1:y2, x1:x2] += stamp.density[y1 - top : y2 - top, x1 - left : x2 - left]
        return density

    def _stamp(self, cell: TrueCell) -> _Stamp:
        stamp = self._stamps.pop(cell.id, None) or _stamp(self.smear, cell, self.um_per_px)
        self._stamps[cell.id] = stamp  # moved to the end: the front holds the least recently seen cell
        if len(self._stamps) > STAMPS_KEPT:
            del self._stamps[next(iter(self._stamps))]
        return stamp


@dataclass(frozen=True, slots=True)
class _Stamp:
    """Painted cell on the slide's pixel grid."""

    left: int
    top: int
    density: FloatImage
    """(h, w, 3) optical density."""


def _stamp(smear: Smear, cell: TrueCell, um_per_px: NDArray[np.float64]) -> _Stamp:
    density = smear.paint(cell).density
    # Each camera pixel gathers light over its area: blur finer detail before sampling.
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


DEMO_SEED = 5
DEMO_WHITE_CELLS = {
    "neutrophil": 5,
    "lymphocyte": 4,
    "monocyte": 2,
    "eosinophil": 1,
    "basophil": 1,
    "blast": 1,
}
"""White cells of the sample, by cell type.

Every type that can be recognised is there, in an image small enough to look at. These are not the proportions
of any patient.
"""


def demo() -> Stage:
    """Return the sample that ships with the package.

    It is 160 x 120 um at 0.1 um per pixel, one field of 1600 x 1200 pixels.
    """
    smear = Smear.generate(
        DEMO_SEED, 160.0, 120.0, DEMO_WHITE_CELLS, red_cells_per_mm2=8000.0, platelets_per_mm2=700.0
    )
    return Stage(smear, um_per_px=0.1, size=(1600, 1200))


def truth_document(stage: Stage) -> dict[str, Any]:
    """Return the truth of the stage's field for JSON.

    It holds the scale, and each cell with its box in frame pixels.
    """
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

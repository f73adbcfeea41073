"""Degrade pictures step by step.

The degradations are defocus, motion, bad light, too pale or dark a stain, and overlapping cells. Each rung
starts from the picture as it was taken. The annotated boxes hold on every rung, since nothing moves; a
thicker field also shows the cells of other pictures of its camera, and has their boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.imaging.objectives import OBJECTIVES
from edgeleuk.simulation.microscope import Conditions, render, through_jpeg
from edgeleuk.types import Boxes, Image, Scale

Reals = NDArray[np.float64]

ELECTRONS = 8000.0
"""Electrons of a full pixel where light or stain change.

The value is that of a small sensor, whose noise shows once the lamp is low.
"""
JPEG = 90
"""JPEG quality of every rung, the first included.

The value is usual for a camera.
"""
ANGLE = np.pi / 5
"""Direction of the stage's motion, radians.

It is along no axis of the picture.
"""
PERCENTILE = 97.0
"""Percentile of each channel: the empty slide."""
STAINED = 0.05
"""Minimum optical density (green) of clumps of cells."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A labelled picture, original or degraded."""

    image: Image
    boxes: Boxes
    """Cell boxes: (N, 4), picture pixels."""
    kinds: NDArray[np.int64]
    scale: Scale


Make = Callable[[Picture, float, Sequence[Picture]], Picture]


@dataclass(frozen=True, slots=True)
class Ladder:
    """One degradation in steps."""

    unit: str
    rungs: tuple[float, ...]
    """Amounts, that of the original picture first."""
    show: Make
    """Returns a picture degraded by an amount.

    A thicker field takes cells of other pictures of the same camera and size.
    """


def _out_of_focus(picture: Picture, defocus_um: float, _: Sequence[Picture]) -> Picture:
    """Defocus as a 100x/1.25 oil objective does."""
    return _shot(picture, defocus_um=defocus_um)


def _moved(picture: Picture, way_um: float, _: Sequence[Picture]) -> Picture:
    """Blur by stage motion, down to the right."""
    return _shot(picture, motion_um=way_um, motion_angle=ANGLE)


def _exposed(picture: Picture, stops: float, _: Sequence[Picture]) -> Picture:
    """Expose a picture to 2**`stops` times the light.

    It is clipped above and noisy below.
    """
    return _shot(picture, cast=(2.0**stops,) * 3, electrons=ELECTRONS)


def _stained(picture: Picture, strength: float, _: Sequence[Picture]) -> Picture:
    """Multiply the optical density above the empty slide."""
    white, density = _density(picture.image)
    return _shot(replace(picture, image=_levels(white, density * strength)), electrons=ELECTRONS)


def _layered(picture: Picture, layers: float, others: Sequence[Picture]) -> Picture:
    """Make a smear `layers` times as thick.

    The optical densities of other pictures are added. A last partial layer adds only that share of its clumps
    of cells.
    """
    white, total = _density(picture.image)
    boxes, kinds = [picture.boxes], [picture.kinds]
    for i, other in enumerate(others[: int(np.ceil(layers)) - 1], start=1):
        density = _density(other.image)[1]
        kept, mask = _clumps(density, other.boxes, min(layers - i, 1.0))
        total = total + density * mask[..., None]
        boxes.append(other.boxes[kept])
        kinds.append(other.kinds[kept])
    image = through_jpeg(_levels(white, total), JPEG)
    return Picture(image, np.concatenate(boxes), np.concatenate(kinds), picture.scale)


def _clumps(density: Reals, boxes: Boxes, share: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Choose a random share of cell clumps.

    Returns which boxes, (N,), and which pixels, (H, W), belong to the chosen clumps.
    """
    count, labels = cv2.connectedComponents((density[..., 1] > STAINED).astype(np.uint8))
    chosen = np.random.default_rng(count).random(count) < share
    chosen[0] = share >= 1  # the empty slide
    mask = chosen[labels]
    kept = []
    for x1, y1, x2, y2 in boxes.round().astype(int).clip(0).tolist():
        there = labels[y1:y2, x1:x2] > 0
        kept.append(bool((mask[y1:y2, x1:x2] & there).sum() * 2 > there.sum()))
    return np.array(kept, bool), mask


def _density(image: Image) -> tuple[Reals, Reals]:
    """Return the empty slide's colour and the density.

    The colour is (3,), in levels; the optical density above it is (H, W, 3).
    """
    white = np.percentile(image.reshape(-1, 3), PERCENTILE, axis=0).clip(1)
    return white, np.log10(white / np.maximum(image, 1)).clip(0)


def _levels(white: Reals, density: Reals) -> Image:
    image: Image = (white * 10.0**-density).round().astype(np.uint8)
    return image


def _shot(picture: Picture, **changes: Any) -> Picture:
    """Photograph a picture with the virtual microscope, as a JPEG.

    It keeps its own scale.
    """
    conditions = Conditions(picture.scale.um_per_px, picture.scale.squeeze, jpeg=JPEG, **changes)
    return replace(picture, image=render(picture.image, picture.scale, OBJECTIVES["100x"], conditions).image)


LADDERS: Mapping[str, Ladder] = {
    "focus": Ladder("um out of focus at 100x", (0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.5, 3.0), _out_of_focus),
    "motion": Ladder("um of way", (0, 1, 2, 3, 4, 5, 6, 8), _moved),
    "dark": Ladder("stops of light", (0, -1, -2, -3, -4, -5, -6, -7), _exposed),
    "bright": Ladder("stops of light", (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2), _exposed),
    "pale": Ladder("times the density", (1, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08), _stained),
    "dense": Ladder("times the density", (1, 1.4, 2, 2.8, 4, 5.6, 8), _stained),
    "thick": Ladder("layers", (1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4), _layered),
}

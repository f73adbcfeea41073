"""Pictures made worse step by step: out of focus, moved, badly lit, too pale or dark a stain, cells over each other.

Each rung starts from the picture as it was taken. The annotated boxes hold on every rung, since nothing moves; a
thicker field shows the cells of other pictures of its camera too, and has their boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeleuk.microscope import OBJECTIVES, Shot, render, through_jpeg
from edgeleuk.types import Boxes, Image, Scale

Reals = NDArray[np.float64]

ELECTRONS = 8000.0
"""That a full pixel holds where light or stain change: a small sensor's, whose noise shows once the lamp is low."""
JPEG = 90
"""Quality at which every rung is stored, the first too: a camera's usual one."""
ANGLE = np.pi / 5
"""Of the stage's way, radians: along no axis of the picture."""
PERCENTILE = 97.0
"""Of each channel of a picture: its empty slide."""
STAINED = 0.05
"""Optical density (green) that separates clumps of cells from the empty slide."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A labelled picture, as it was taken or on a rung."""

    image: Image
    boxes: Boxes
    """(N, 4) picture pixels."""
    kinds: NDArray[np.int64]
    scale: Scale


Make = Callable[[Picture, float, Sequence[Picture]], Picture]


@dataclass(frozen=True, slots=True)
class Ladder:
    """One way for a picture to become worse."""

    unit: str
    rungs: tuple[float, ...]
    """Amounts, the picture as it was taken first."""
    show: Make
    """A picture on the rung of an amount; others of its camera and size lend their cells to a thicker field."""


def _out_of_focus(picture: Picture, defocus_um: float, _: Sequence[Picture]) -> Picture:
    """Through a 100x/1.25 oil objective whose focus is off by so much."""
    return _shot(picture, defocus_um=defocus_um)


def _moved(picture: Picture, way_um: float, _: Sequence[Picture]) -> Picture:
    """While the stage goes so far, down to the right."""
    return _shot(picture, motion_um=way_um, motion_angle=ANGLE)


def _exposed(picture: Picture, stops: float, _: Sequence[Picture]) -> Picture:
    """With two to the power of `stops` times the light: clipped above, noisy below."""
    return _shot(picture, cast=(2.0**stops,) * 3, electrons=ELECTRONS)


def _stained(picture: Picture, strength: float, _: Sequence[Picture]) -> Picture:
    """With so many times the optical density above the empty slide."""
    white, density = _density(picture.image)
    return _shot(replace(picture, image=_levels(white, density * strength)), electrons=ELECTRONS)


def _layered(picture: Picture, layers: float, others: Sequence[Picture]) -> Picture:
    """With the densities of other pictures added: a smear so many times as thick.

    Of the last layer only as many clumps of cells are taken as its share says.
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
    """Which boxes (N,) and which pixels (H, W) belong to a random `share` of what hangs together in a picture."""
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
    """The empty slide's colour (3,), levels, and the optical density above it (H, W, 3)."""
    white = np.percentile(image.reshape(-1, 3), PERCENTILE, axis=0).clip(1)
    return white, np.log10(white / np.maximum(image, 1)).clip(0)


def _levels(white: Reals, density: Reals) -> Image:
    image: Image = (white * 10.0**-density).round().astype(np.uint8)
    return image


def _shot(picture: Picture, **changes: Any) -> Picture:
    """Through the virtual microscope at the picture's own scale, as a JPEG."""
    shot = Shot(picture.scale.um_per_px, picture.scale.squeeze, jpeg=JPEG, **changes)
    return replace(picture, image=render(picture.image, picture.scale, OBJECTIVES["100x"], shot).image)


LADDERS: Mapping[str, Ladder] = {
    "focus": Ladder("um out of focus at 100x", (0, 0.4, 0.8, 1.2, 1.6, 2.0, 2.5, 3.0), _out_of_focus),
    "motion": Ladder("um of way", (0, 1, 2, 3, 4, 5, 6, 8), _moved),
    "dark": Ladder("stops of light", (0, -1, -2, -3, -4, -5, -6, -7), _exposed),
    "bright": Ladder("stops of light", (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2), _exposed),
    "pale": Ladder("times the density", (1, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08), _stained),
    "dense": Ladder("times the density", (1, 1.4, 2, 2.8, 4, 5.6, 8), _stained),
    "thick": Ladder("layers", (1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4), _layered),
}

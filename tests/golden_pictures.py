"""The pictures of the golden slides, rendered by seed; `regenerate_golden.py --pictures` writes them.

One smear is painted once, and the virtual microscope shows parts of it through each objective, every picture with noise
of its own. The pictures are kept as files: rendering is float arithmetic, and OpenCV 4.9 and 5.0 differ in one pixel in a
hundred by a level, which moves the measured scale by up to 0.7 % and with it every number. What is analysed must be the
same bits everywhere; then what two versions make of it differs by less than the tolerances.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from edgeleuk.imaging.objectives import objective
from edgeleuk.simulation.microscope import Conditions, render
from edgeleuk.simulation.paint import Painting
from edgeleuk.simulation.smear import Smear, Stage, TrueCell
from edgeleuk.types import Image, Scale

FOLDER = Path(__file__).parent / "golden" / "pictures"
"""With a folder for each objective: a slide."""
JPEG_QUALITY = 88
UM_PER_PX = 0.125
"""Of the painted smear."""
SEED = 12
SIZE_UM = (420.0, 340.0)
WHITE_CELLS = {"neutrophil": 15, "lymphocyte": 10, "monocyte": 4, "eosinophil": 3, "basophil": 2, "blast": 3}
PROTOTYPES = {"RBC": 60, "Platelet": 12}
"""Cells of a kind that are painted; the others look like one of them. White cells are painted each."""
BROKEN = b"not a picture"

_painted: dict[tuple[str, int], Painting] = {}


class _Repeating(Smear):
    """A smear whose many red cells look like a few: a thousand take one second to paint, not six."""

    def paint(self, cell: TrueCell) -> Painting:
        number = cell.id % PROTOTYPES.get(cell.kind, 10_000)
        if (cell.kind, number) not in _painted:
            _painted[cell.kind, number] = super().paint(replace(cell, id=number))
        return _painted[cell.kind, number]


@cache
def sharp() -> Image:
    """The painted smear, sharper than any objective here shows it, (H, W, 3) at UM_PER_PX."""
    smear = _Repeating.place(SEED, *SIZE_UM, WHITE_CELLS, red_cells_per_mm2=8000.0, platelets_per_mm2=500.0)
    width, height = (round(side / UM_PER_PX) for side in SIZE_UM)
    return Stage(smear, UM_PER_PX, (width, height)).field().pixels


def picture(lens: str, left: float, top: float, right: float, bottom: float, conditions: Conditions) -> Image:
    """A part of the smear, its sides in micrometres, as an objective and its camera show it."""
    x1, y1, x2, y2 = (round(side / UM_PER_PX) for side in (left, top, right, bottom))
    return render(sharp()[y1:y2, x1:x2], Scale.given(UM_PER_PX), objective(lens), conditions).image


def _resized(image: Image, factor: float) -> Image:
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def _slide_100x() -> dict[str, Image | bytes]:
    """Three overlapping fields, the third bright, one alone, a resized copy, and one out of focus."""
    conditions = Conditions(UM_PER_PX, electrons=100_000.0)
    first = picture("100x", 0, 0, 110, 84, conditions)
    return {
        "a": first,
        "b": picture("100x", 66, 15, 176, 99, replace(conditions, seed=1)),
        "c-copy-of-a": _resized(first, 0.8),
        "d-bright": picture(
            "100x", 140, 40, 250, 124, replace(conditions, seed=2, vignette=0.3, cast=(1.6, 1.6, 1.6))
        ),
        "e-blurred": picture("100x", 280, 200, 390, 284, replace(conditions, seed=3, defocus_um=2.5)),
        "f-alone": picture("100x", 280, 210, 390, 294, replace(conditions, seed=4)),
    }


def _slide_40x() -> dict[str, Image | bytes]:
    """A field that moved, one squeezed and one through an eyepiece, a resized copy, and one in the dark."""
    conditions = Conditions(0.2, electrons=80_000.0)
    second = picture("40x", 100, 20, 270, 160, replace(conditions, seed=1, squeeze=0.8))
    return {
        "a-moved": picture(
            "40x", 0, 0, 170, 140, replace(conditions, defocus_um=0.8, motion_um=1.2, lateral_colour=0.0007)
        ),
        "b-squeezed": second,
        "c-eyepiece": picture("40x", 200, 100, 380, 260, replace(conditions, seed=2, view_radius=0.7)),
        "d-copy-of-b": _resized(second, 0.8),
        "e-dark": picture("40x", 0, 180, 170, 320, replace(conditions, seed=3, cast=(0.02, 0.02, 0.02))),
    }


def _slide_10x() -> dict[str, Image | bytes]:
    """Two fields that show the whole smear between them, one turned by a quarter, a resized copy, and a broken file."""
    conditions = Conditions(0.4, electrons=80_000.0)
    turned = np.ascontiguousarray(np.rot90(picture("10x", 60, 40, 260, 190, replace(conditions, seed=2))))
    return {
        "a": picture("10x", 0, 0, 300, 340, conditions),
        "b": picture("10x", 120, 0, 420, 340, replace(conditions, seed=1)),
        "c-turned": turned,
        "d-copy-of-c": _resized(turned, 0.85),
        "e-broken": BROKEN,
    }


SLIDES: Mapping[str, Callable[[], Mapping[str, Image | bytes]]] = {
    "100x": _slide_100x,
    "40x": _slide_40x,
    "10x": _slide_10x,
}


def write_pictures() -> None:
    """Render every slide and write its pictures."""
    for lens, slide in SLIDES.items():
        (FOLDER / lens).mkdir(parents=True, exist_ok=True)
        for name, content in slide().items():
            data = content if isinstance(content, bytes) else _jpeg(content)
            (FOLDER / lens / f"{name}.jpg").write_bytes(data)


def _jpeg(image: Image) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()

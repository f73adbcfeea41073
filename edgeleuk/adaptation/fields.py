"""White cells of unlabelled fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.analysis.observation import Observation
from edgeleuk.device.colour import background
from edgeleuk.errors import EdgeleukError, InputError
from edgeleuk.models.microscope import Microscope
from edgeleuk.sources.pictures.reading import read_picture
from edgeleuk.types import Image, PictureFile, Refusal, Scale

LEAST_FIELDS = 10
LEAST_CELLS = 60
"""Minimum fields and white cells to adapt to.

With fewer, one patient's cells look like a microscope's.
"""
MOST_CELLS = 1500
"""Number of cells that suffice; the fields after them are not looked at."""
MOST_OF_A_FIELD = 0.25
"""Largest share of the cells that may be of one field."""

Picture = Path | PictureFile | Refusal | InputError


@dataclass(frozen=True, slots=True)
class UnlabelledCells:
    """White cells of fields, as the reader takes them."""

    crops: NDArray[np.uint8]
    """(N, size, size, 3) RGB."""
    fields: int
    """Number of fields that show them."""
    microscope: Microscope
    failures: tuple[EdgeleukError, ...] = ()
    """Errors of pictures that could not be used; the others were."""


def gathered(
    analyser: Analyser,
    pictures: Sequence[Picture],
    um_per_px: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> UnlabelledCells:
    """Cut the white cells out of fields.

    Args:
        analyser: Analyser of the parent model, with the profile of the device if there is one.
        pictures: Pictures of fields.
        um_per_px: Scale of the pictures; None to estimate it.
        progress: Called with the number of pictures done and of all.

    Raises:
        InputError: There are too few fields or cells, or most cells are of one field.
    """
    crops: list[Image] = []
    of_field, lights, scales = [], [], []
    failures: list[EdgeleukError] = []
    for done, each in enumerate(pictures):
        if progress:
            progress(done, len(pictures))
        if isinstance(each, Refusal) or len(crops) >= MOST_CELLS:
            continue
        try:
            if isinstance(each, InputError):
                raise each
            found, scale, light = _field(analyser, each, um_per_px)
        except EdgeleukError as error:
            failures.append(error)
            continue
        if found:
            crops += found
            of_field.append(len(found))
            scales.append(scale)
            lights.append(light)
    if progress:
        progress(len(pictures), len(pictures))
    _require_enough(of_field, failures)
    red, green, blue = np.median(lights, axis=0).tolist()
    name = analyser.profile.name if analyser.profile else ""
    microscope = Microscope.seen((red, green, blue), round(float(np.median(scales)), 5), name)
    return UnlabelledCells(np.stack(crops), len(of_field), microscope, tuple(failures))


def _field(
    analyser: Analyser, picture: Path | PictureFile, um_per_px: float | None
) -> tuple[list[Image], float, tuple[float, float, float]]:
    """Return the crops, the scale and the background of a field.

    The crops are those of its readable white cells.
    """
    frame = read_picture(picture, um_per_px)
    scale = Scale.given(um_per_px).shrunk(frame.shrunk) if um_per_px else None
    seen = Observation.of(frame)
    field = analyser.analyse(frame, scale, seen=seen)
    shown = analyser.under_profile(seen).pixels
    boxes = [cell.box for cell in field.cells if cell.reading]
    middles = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes]
    crops = [analyser.reader.crop(shown, field.scale, middle) for middle in middles]
    return crops, field.scale.um_per_px / frame.shrunk, background(frame.pixels)


def _require_enough(of_field: Sequence[int], failures: Sequence[EdgeleukError]) -> None:
    """Check that there is enough to learn from.

    Raises:
        InputError: There is not.
    """
    cells = sum(of_field)
    if not of_field and failures:
        raise failures[0]
    if len(of_field) < LEAST_FIELDS or cells < LEAST_CELLS:
        left = f" {len(failures)} pictures could not be used; the first: {failures[0]}" if failures else ""
        raise InputError(
            f"{cells} white cells in {len(of_field)} fields are too few to adapt to. Take {LEAST_FIELDS} fields and"
            f" {LEAST_CELLS} white cells or more, best of three slides of different healthy people.{left}"
        )
    if max(of_field) > MOST_OF_A_FIELD * cells:
        raise InputError(
            f"{max(of_field)} of {cells} white cells are of one field, so that the fields are too uniform. Take more fields"
            " and other slides."
        )

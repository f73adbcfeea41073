"""Illumination of a device, from images of an empty field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeleuk.device.colour import fit_light
from edgeleuk.device.profiles import Light
from edgeleuk.errors import InputError
from edgeleuk.imaging.bars import find_field_of_view
from edgeleuk.types import Frame

MOST_OFF = 0.03
"""Maximum share of the field darker than the fitted light.

A pixel counts if it is more than 5 % darker. Dust covers less than this share, a single white cell through a 100x
objective more.
"""
CLIPPED = 253
"""Minimum mean channel level treated as clipped.

Compared at the brightest node of the light grid; from this level on the sensor may have clipped the light.
"""
DARKEST = 40


def light(frames: Sequence[Frame]) -> Light:
    """Estimate the illumination over the field from empty-field images.

    Args:
        frames: One or more images of one size.

    Raises:
        InputError: The images differ in size, are not empty, or are too bright or too dark to measure.
    """
    names = ", ".join(frame.name for frame in frames)
    if len({frame.pixels.shape for frame in frames}) > 1:
        raise InputError(
            f"the blank pictures ({names}) are of different sizes. Take them with one camera setting."
        )
    fit = fit_light([frame.pixels for frame in frames], find_field_of_view(frames[0].pixels))
    brightest = fit.grid.max(axis=(0, 1))
    if brightest.max() >= CLIPPED:
        raise InputError(
            f"{names}: the empty field is overexposed, so its light cannot be measured. Lower the exposure or the lamp "
            "until no part of it is pure white."
        )
    if brightest.min() < DARKEST:
        raise InputError(f"{names}: the empty field is too dark to measure its light. Raise the exposure.")
    if fit.off > MOST_OFF:
        raise InputError(
            f"{names}: {fit.off:.0%} of the field is darker than the rest, as cells or dirt make it. Move to an empty part "
            "of the slide, defocus a little, and take it again."
        )
    return Light.of(np.asarray(fit.grid))

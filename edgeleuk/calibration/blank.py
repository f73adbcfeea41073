"""The light of a device, from pictures of an empty part of a slide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeleuk.bars import find_view
from edgeleuk.colour import fit_light
from edgeleuk.errors import InputError
from edgeleuk.profiles import Light
from edgeleuk.types import Frame

MOST_OFF = 0.03
"""Share of the field darker than the light by more than 5 %: dust is less, a single white cell through 100x is more."""
CLIPPED = 253
"""Mean level of a channel at the brightest node from which on the sensor may have cut the light off."""
DARKEST = 40


def light(frames: Sequence[Frame]) -> Light:
    """The light over the field from one or more pictures of one size. Raises InputError where they are not empty, or
    too bright or dark to tell it."""
    names = ", ".join(frame.name for frame in frames)
    if len({frame.pixels.shape for frame in frames}) > 1:
        raise InputError(
            f"the blank pictures ({names}) are of different sizes. Take them with one camera setting."
        )
    fit = fit_light([frame.pixels for frame in frames], find_view(frames[0].pixels))
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

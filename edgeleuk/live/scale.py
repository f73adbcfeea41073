"""The scale of a session: of the profile, or of the red cells of its first frames; a scale that changed midway would
tear the map."""

from __future__ import annotations

from edgeleuk.errors import ScaleError
from edgeleuk.eyepiece import find_disc
from edgeleuk.pipeline import Analyser
from edgeleuk.pooling import pooled
from edgeleuk.scale import estimate_scale
from edgeleuk.types import Frame, Scale

ENOUGH_RED_CELLS = 60
"""Red cells that the scale of a session rests on before anything is counted; their median is then good to 2 %."""
MOST_SCALE_FRAMES = 6
"""Frames after which the scale is taken as it is."""


class SessionScale:
    """Known from the start, or settled frame by frame."""

    def __init__(self, analyser: Analyser, known: Scale | None = None) -> None:
        self._analyser, self.known = analyser, known
        """`known` is None until enough red cells were seen."""
        self._measured: list[Scale] = []
        self.message = ""
        """Why the last frame did not settle it, or what speaks against the profile."""

    def settle(self, frame: Frame) -> Scale | None:
        """What is known after one more frame, where nothing was."""
        self.known, self.message = self._analyser.known_scale(frame)
        if self.known:
            return self.known
        try:
            seen = self._analyser.under_profile(frame)
            disc = find_disc(seen.pixels)
            self._measured.append(estimate_scale(seen.pixels, self._analyser.finder, seen.name, disc=disc))
        except ScaleError as error:
            self.message = str(error)
            return None
        found = pooled(self._measured)
        if found.red_cells >= ENOUGH_RED_CELLS or len(self._measured) >= MOST_SCALE_FRAMES:
            self.known = found
        return self.known

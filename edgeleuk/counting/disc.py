"""The eyepiece's disc in the frames of a phone or a camera that sees a whole eyepiece."""

from __future__ import annotations

from math import hypot

from edgeleuk.bars import find_view
from edgeleuk.types import Aperture, Frame, Shot

AGAIN_S = 2.0
"""Between two looks for it, on the source's clock: it moves where the phone is moved, and a look costs 5 to 10 ms."""
MOVED = 0.03
"""Of its radius, that a disc moves or grows by when the phone does: less changes what it shows by less than 2 %, and
noise places its rim to a tenth of that."""


class Disc:
    """What of the frames shows the slide, looked for from time to time."""

    def __init__(self) -> None:
        self._looked: tuple[float, tuple[int, ...]] | None = None
        self._frame: Frame | None = None
        """That was looked at last."""
        self._found: Aperture | None = None

    def of(self, shot: Shot) -> Aperture | None:
        """In a frame's pixels; None where all of it shows the slide."""
        shape = shot.frame.pixels.shape
        if (
            self._looked is None
            or self._looked[1] != shape
            or not 0 <= shot.seconds - self._looked[0] < AGAIN_S
        ):
            self._look(shot)
        return self._found

    @property
    def last(self) -> Aperture | None:
        """What was found when it was looked for last."""
        return self._found

    def moved(self, shot: Shot) -> bool:
        """Whether a frame shows another disc than `of` told for it; from then on that is the disc. Costs a look."""
        before = self._found
        if self._frame is not shot.frame:
            self._look(shot)
        now = self._found
        if before is None or now is None:
            return before is not now
        way = hypot(now.x - before.x, now.y - before.y)
        return max(way, abs(now.semi_major - before.semi_major)) > MOVED * before.semi_major

    def _look(self, shot: Shot) -> None:
        self._looked, self._frame = (shot.seconds, shot.frame.pixels.shape), shot.frame
        self._found = find_view(shot.frame.pixels)

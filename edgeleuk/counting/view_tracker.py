"""Eyepiece field of view, followed across frames.

For frames of a phone or a camera that sees a whole eyepiece.
"""

from __future__ import annotations

from math import hypot

from edgeleuk.imaging.bars import find_field_of_view
from edgeleuk.types import FieldOfView, Frame, TimedFrame

AGAIN_S = 2.0
"""Seconds between two searches, on the source's clock.

The field of view moves when the phone is moved. A search costs 5 to 10 ms.
"""
MOVED = 0.03
"""Minimum shift or growth that counts as a move.

As a share of the radius of the field of view. A smaller change alters less than 2 % of what it shows, and
noise shifts its rim by only a tenth of this.
"""


class ViewTracker:
    """Tracker of the field of view.

    It is searched for from time to time, see AGAIN_S.
    """

    def __init__(self) -> None:
        self._looked: tuple[float, tuple[int, ...]] | None = None
        self._frame: Frame | None = None
        """The frame that was searched last."""
        self._found: FieldOfView | None = None

    def of(self, timed: TimedFrame) -> FieldOfView | None:
        """Return a frame's field of view, in pixels.

        None if the whole frame shows the slide. A frame is searched when its size is new or the last search
        is AGAIN_S ago.
        """
        shape = timed.frame.pixels.shape
        if (
            self._looked is None
            or self._looked[1] != shape
            or not 0 <= timed.seconds - self._looked[0] < AGAIN_S
        ):
            self._look(timed)
        return self._found

    @property
    def last(self) -> FieldOfView | None:
        """Result of the last search."""
        return self._found

    def moved(self, timed: TimedFrame) -> bool:
        """Return whether the field of view moved since `of`.

        A frame that was not searched yet is searched, which costs 5 to 10 ms. The field of view found is used
        from then on.
        """
        before = self._found
        if self._frame is not timed.frame:
            self._look(timed)
        now = self._found
        if before is None or now is None:
            return before is not now
        way = hypot(now.x - before.x, now.y - before.y)
        return max(way, abs(now.semi_major - before.semi_major)) > MOVED * before.semi_major

    def _look(self, timed: TimedFrame) -> None:
        self._looked, self._frame = (timed.seconds, timed.frame.pixels.shape), timed.frame
        self._found = find_field_of_view(timed.frame.pixels)

"""When a frame of a stream counts by itself: in focus, still, and of new ground. Quality decides the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeleuk.assessment import StreamLimits
from edgeleuk.quality import Look
from edgeleuk.types import Placement


@dataclass(frozen=True, slots=True)
class Meters:
    """How a frame looks, each 0 to 1."""

    focus: float
    """Sharpness as a share of the best seen in this session."""
    light: float
    """Brightness of the background, 1 = white clipped."""


class Gate:
    """Compares the frames of one session. It remembers the best sharpness, which only a comparison tells."""

    def __init__(self, limits: StreamLimits, best: float = 1.0) -> None:
        """`best`: sharpness that the device is known to reach; without it the first frames set it."""
        self.limits = limits
        self._best = best

    def begin(self) -> None:
        """Frames are of another size or zoom: their best sharpness is another one."""
        self._best = 1.0

    def meters(self, look: Look, sound: bool = True) -> Meters:
        """Measure focus and light of a frame. The best focus is taken of frames that are `sound`: the noise of a dark or
        empty one is sharp and means nothing."""
        if sound:
            # A single frame with dirt or noise in it would set the mark too high for good: approach it.
            self._best += max(look.sharpness - self._best, 0.0) * (0.5 if self._best > 1.0 else 1.0)
        span = self._best - 1.0
        focus = (look.sharpness - 1.0) / span if span > 0 else 0.0
        return Meters(focus=min(max(focus, 0.0), 1.0), light=look.light)

    def blurred(self, meters: Meters) -> bool:
        """Whether a frame is much less sharp than the best one."""
        return meters.focus < self.limits.focus_of_best

    def still(self, placement: Placement, um_per_px: float) -> bool:
        """Whether the stage stood still since the frame before. `um_per_px` of the frame."""
        moved = placement.moved_um
        return moved is not None and moved <= self.limits.still_px * um_per_px

    def unwanted(self, placement: Placement, um_per_px: float) -> Literal["move", "seen"] | None:
        """Why a good frame does not count at its place, or None."""
        if not self.still(placement, um_per_px):
            return "move"
        return "seen" if placement.new_ground < self.limits.new_ground else None

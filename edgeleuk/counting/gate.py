"""Focus, stillness and new-area checks of stream frames.

They decide when a frame counts by itself; `quality` makes the other checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeleuk.quality.assessment import StreamLimits
from edgeleuk.quality.measures import Look
from edgeleuk.types import Placement


@dataclass(frozen=True, slots=True)
class Meters:
    """Focus and light of a frame, each 0 to 1."""

    focus: float
    """Sharpness relative to the session's best."""
    light: float
    """Background brightness; 1 means that white is clipped."""


class Gate:
    """Comparison of the frames of one session.

    It remembers the best sharpness, since focus can only be told by comparison.
    """

    def __init__(self, limits: StreamLimits, best: float = 1.0) -> None:
        """Set the limits and initial best sharpness.

        `best` is a sharpness that the device is known to reach; without it the first frames set it.
        """
        self.limits = limits
        self._best = best

    def begin(self) -> None:
        """Reset the best sharpness after a change.

        Of the frame size or the zoom: the best sharpness is then another one.
        """
        self._best = 1.0

    def meters(self, look: Look, sound: bool = True) -> Meters:
        """Measure focus and light of a frame.

        Only `sound` frames update the best focus: the noise of a dark or empty frame is sharp and means
        nothing.
        """
        if sound:
            # Approach a new best in steps: a single frame with dirt or noise would set it too high for good.
            self._best += max(look.sharpness - self._best, 0.0) * (0.5 if self._best > 1.0 else 1.0)
        span = self._best - 1.0
        focus = (look.sharpness - 1.0) / span if span > 0 else 0.0
        return Meters(focus=min(max(focus, 0.0), 1.0), light=look.light)

    def blurred(self, meters: Meters) -> bool:
        """Return whether a frame is much blurrier than the best."""
        return meters.focus < self.limits.focus_of_best

    def still(self, placement: Placement, um_per_px: float) -> bool:
        """Return whether the stage stood still.

        Since the frame before. `um_per_px` is the scale of the frame.
        """
        moved = placement.moved_um
        return moved is not None and moved <= self.limits.still_px * um_per_px

    def unwanted(self, placement: Placement, um_per_px: float) -> Literal["move", "seen"] | None:
        """Return why a good frame does not count.

        "move" if the stage moved, "seen" if too little of its area is new; None if the frame counts.
        """
        if not self.still(placement, um_per_px):
            return "move"
        return "seen" if placement.new_ground < self.limits.new_ground else None

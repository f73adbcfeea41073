"""Script movements of stage, focus and lamp."""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass
from functools import cached_property

Point = tuple[float, float]
"""Field centre on the slide, (x, y) in micrometres."""


@dataclass(frozen=True, slots=True)
class Pose:
    """State of stage, focus and lamp at one moment."""

    at: Point
    velocity: Point = (0.0, 0.0)
    """Speed of the stage, micrometres per second."""
    focus_um: float = 0.0
    """Distance from the focal plane, micrometres."""
    exposure: float = 1.0
    """Light on the sensor, relative to the camera's choice."""


@dataclass(frozen=True, slots=True)
class Move:
    """Straight movement at constant speed."""

    to: Point
    um_per_s: float

    def seconds(self, start: Pose) -> float:
        return math.dist(start.at, self.to) / self.um_per_s

    def pose(self, start: Pose, share: float) -> Pose:
        (x1, y1), (x2, y2) = start.at, self.to
        long = math.dist(start.at, self.to)
        still = share >= 1 or long == 0
        velocity = (
            (0.0, 0.0) if still else ((x2 - x1) * self.um_per_s / long, (y2 - y1) * self.um_per_s / long)
        )
        at = (x1 + share * (x2 - x1), y1 + share * (y2 - y1))
        return Pose(at, velocity, start.focus_um, start.exposure)


@dataclass(frozen=True, slots=True)
class Stop:
    """Pause in which nothing moves."""

    duration: float
    """Length of the pause, seconds."""

    def seconds(self, start: Pose) -> float:  # noqa: ARG002  # every segment answers this
        return self.duration

    def pose(self, start: Pose, share: float) -> Pose:  # noqa: ARG002
        return start


@dataclass(frozen=True, slots=True)
class Jump:
    """Jump to another place between two frames.

    The slide was lifted or pushed.
    """

    to: Point

    def seconds(self, start: Pose) -> float:  # noqa: ARG002
        return 0.0

    def pose(self, start: Pose, share: float) -> Pose:  # noqa: ARG002
        return Pose(self.to, (0.0, 0.0), start.focus_um, start.exposure)


@dataclass(frozen=True, slots=True)
class Focus:
    """Even turn of the focus knob."""

    um: float
    """Distance from the focal plane at the end."""
    duration: float
    """Length of the turn, seconds."""

    def seconds(self, start: Pose) -> float:  # noqa: ARG002
        return self.duration

    def pose(self, start: Pose, share: float) -> Pose:
        return Pose(start.at, (0.0, 0.0), start.focus_um + share * (self.um - start.focus_um), start.exposure)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Even change of the lamp's brightness."""

    factor: float
    """Light at the end; 1 is the initial light."""
    duration: float
    """Length of the change, seconds."""

    def seconds(self, start: Pose) -> float:  # noqa: ARG002
        return self.duration

    def pose(self, start: Pose, share: float) -> Pose:
        exposure = start.exposure + share * (self.factor - start.exposure)
        return Pose(start.at, (0.0, 0.0), start.focus_um, exposure)


Segment = Move | Stop | Jump | Focus | Exposure


@dataclass(frozen=True)
class Script:
    """Sequence of segments."""

    start: Point
    segments: tuple[Segment, ...]

    @property
    def seconds(self) -> float:
        """Time from the first frame to the end, seconds."""
        return self._ends[-1] if self._ends else 0.0

    def at(self, seconds: float) -> Pose:
        """Return the pose at a moment, or the last one."""
        number = bisect.bisect_right(self._ends, seconds)
        if number == len(self.segments):
            return self._starts[-1]
        begun = self._ends[number - 1] if number else 0.0
        share = (seconds - begun) / (self._ends[number] - begun)
        return self.segments[number].pose(self._starts[number], share)

    @cached_property
    def _starts(self) -> list[Pose]:
        """Pose before each segment, and after the last."""
        return list(
            itertools.accumulate(
                self.segments, lambda pose, segment: segment.pose(pose, 1.0), initial=Pose(self.start)
            )
        )

    @cached_property
    def _ends(self) -> list[float]:
        """End time of each segment, seconds."""
        return list(
            itertools.accumulate(
                segment.seconds(start) for segment, start in zip(self.segments, self._starts, strict=False)
            )
        )

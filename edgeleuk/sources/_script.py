"""What a hand does to a stage and its knobs over time, as data."""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass
from functools import cached_property

Point = tuple[float, float]
"""x and y on the slide, micrometres: the middle of the field."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the stage and the knobs are at one moment."""

    at: Point
    velocity: Point = (0.0, 0.0)
    """um per second."""
    focus_um: float = 0.0
    """Distance from the focal plane."""
    exposure: float = 1.0
    """Light on the sensor, 1 as the camera chose it."""


@dataclass(frozen=True, slots=True)
class Move:
    """In a straight line at an even speed."""

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
    """Nothing is touched."""

    duration: float
    """Seconds."""

    def seconds(self, start: Pose) -> float:  # noqa: ARG002  # every segment answers this
        return self.duration

    def pose(self, start: Pose, share: float) -> Pose:  # noqa: ARG002
        return start


@dataclass(frozen=True, slots=True)
class Jump:
    """To another place between two frames: the slide was lifted, or pushed."""

    to: Point

    def seconds(self, start: Pose) -> float:  # noqa: ARG002
        return 0.0

    def pose(self, start: Pose, share: float) -> Pose:  # noqa: ARG002
        return Pose(self.to, (0.0, 0.0), start.focus_um, start.exposure)


@dataclass(frozen=True, slots=True)
class Focus:
    """The focus knob is turned, evenly."""

    um: float
    """Distance from the focal plane at the end."""
    duration: float
    """Seconds."""

    def seconds(self, start: Pose) -> float:  # noqa: ARG002
        return self.duration

    def pose(self, start: Pose, share: float) -> Pose:
        return Pose(start.at, (0.0, 0.0), start.focus_um + share * (self.um - start.focus_um), start.exposure)


@dataclass(frozen=True, slots=True)
class Exposure:
    """The lamp is turned up or down, evenly."""

    factor: float
    """Of the light at the end, 1 as at the beginning."""
    duration: float
    """Seconds."""

    def seconds(self, start: Pose) -> float:  # noqa: ARG002
        return self.duration

    def pose(self, start: Pose, share: float) -> Pose:
        exposure = start.exposure + share * (self.factor - start.exposure)
        return Pose(start.at, (0.0, 0.0), start.focus_um, exposure)


Segment = Move | Stop | Jump | Focus | Exposure


@dataclass(frozen=True)
class Script:
    """Segments, one after the other."""

    start: Point
    segments: tuple[Segment, ...]

    @property
    def seconds(self) -> float:
        """From the first frame to the end of the last segment."""
        return self._ends[-1] if self._ends else 0.0

    def at(self, seconds: float) -> Pose:
        """The pose at a moment; after the end, that of the end."""
        number = bisect.bisect_right(self._ends, seconds)
        if number == len(self.segments):
            return self._starts[-1]
        begun = self._ends[number - 1] if number else 0.0
        share = (seconds - begun) / (self._ends[number] - begun)
        return self.segments[number].pose(self._starts[number], share)

    @cached_property
    def _starts(self) -> list[Pose]:
        """The pose before each segment, and that after the last."""
        return list(
            itertools.accumulate(
                self.segments, lambda pose, segment: segment.pose(pose, 1.0), initial=Pose(self.start)
            )
        )

    @cached_property
    def _ends(self) -> list[float]:
        """When each segment is over, seconds."""
        return list(
            itertools.accumulate(
                segment.seconds(start) for segment, start in zip(self.segments, self._starts, strict=False)
            )
        )

"""Assess a camera's frames: black, frozen, late or damaged."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeleuk.sources.camera import CameraWord
from edgeleuk.types import Image

BLACK_LEVEL = 24
"""Level above sensor noise in the dark, 8 bits."""
BLACK_SHARE = 0.001
"""Maximum share of brighter values in a black frame.

It leaves room for hot pixels.
"""
SAMPLE_SIDE = 256
"""Minimum rows and columns sampled per frame.

Sensor noise alone makes two such samples differ.
"""


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits of the watchdog, seconds."""

    stall: float = 5.0
    """Maximum time without a frame.

    A thread that hangs then gets as long again before it is abandoned.
    """
    frozen: float = 5.0
    """Maximum time with bit-identical frames.

    A working camera has noise.
    """
    black: float = 3.0
    open: float = 120.0
    """Time limit for the first opening.

    Making a simulated slide takes long on a small computer.
    """
    reopen: float = 45.0
    """Time limit for each later opening.

    A slow camera sends its first picture late.
    """
    unknown: float = 30.0
    """Maximum frameless time at unknown pace.

    It applies to a camera that is connected.
    """
    first_pause: float = 0.5
    """Pause before the source is opened again.

    It doubles after each opening that did not help.
    """
    longest_pause: float = 15.0

    def pause(self, failures: int) -> float:
        """Return the pause after `failures` failed openings."""
        return float(min(self.first_pause * 2.0 ** min(failures, 30), self.longest_pause))


class FrameAssessor:
    """Assess one camera's frames; kept across reopenings."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._last: NDArray[np.uint8] | None = None
        self._fault: CameraWord | None = None
        self._since = 0.0

    def begin(self, now: float) -> None:
        """Note that the source was reopened.

        A fault may then last its full time once more.
        """
        self._since = now

    def assess(self, pixels: Image, now: float) -> tuple[CameraWord | None, bool]:
        """Assess one frame.

        Returns:
            The fault ("black", "frozen" or None), and whether it has lasted too long.
        """
        rows, columns = (max(1, side // SAMPLE_SIDE) for side in pixels.shape[:2])
        sample = pixels[::rows, ::columns].copy()
        fault: CameraWord | None = None
        if float((sample > BLACK_LEVEL).mean()) <= BLACK_SHARE:
            fault = "black"
        elif self._last is not None and np.array_equal(sample, self._last):
            fault = "frozen"
        self._last = sample
        if fault != self._fault:
            self._fault, self._since = fault, now
        limit = self._patience.black if fault == "black" else self._patience.frozen
        return fault, fault is not None and now - self._since >= limit


LATE = 3.0
"""Maximum silence, in multiples of the longest recent gap."""
GAPS = 5
MOST_BAD = 3
"""Damaged frames in a row that are always tolerated."""


class Pace:
    """Frame rate of one connection.

    A gap that is late for one camera is usual for another.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._gaps: deque[float] = deque(maxlen=GAPS)
        self._last: float | None = None
        self._bad = 0

    def good(self, now: float) -> None:
        """Note a complete frame."""
        if self._last is not None:
            self._gaps.append(now - self._last)
        self._last, self._bad = now, 0

    def bad(self) -> None:
        """Note a damaged frame."""
        self._bad += 1

    @property
    def usual(self) -> float:
        """Silence that needs no message, seconds."""
        return max(self._patience.stall / 2, LATE / 2 * max(self._gaps, default=0.0))

    @property
    def bearable(self) -> float:
        """Maximum silence of a live connection, seconds.

        It is reopened after that.
        """
        if not self._gaps:
            return max(self._patience.stall, self._patience.unknown)
        return max(self._patience.stall, LATE * max(self._gaps))

    def only_bad(self, silent: float) -> bool:
        """Return whether only damaged frames come.

        `silent` is the time since the last good frame, seconds.
        """
        return self._bad >= MOST_BAD and silent >= self._patience.stall

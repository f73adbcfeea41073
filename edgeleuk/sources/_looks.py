"""What a watchdog looks for in a camera's frames: that they are black, always the same, late or damaged."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeleuk.sources.camera import CameraWord
from edgeleuk.types import Image

BLACK_LEVEL = 24
"""8-bit level that noise on a dark sensor stays under."""
BLACK_SHARE = 0.001
"""Share of brighter values up to which a frame is black: room for hot pixels."""
SAMPLE_SIDE = 256
"""Rows and columns of a frame that are looked at, at least. Sensor noise alone makes two such samples differ."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a watchdog bears with what, seconds."""

    stall: float = 5.0
    """Without a frame. A thread that hangs is then given as long again before it is left behind."""
    frozen: float = 5.0
    """With the same frame again and again, bit for bit; a camera has noise."""
    black: float = 3.0
    open: float = 120.0
    """For the first opening: a simulated slide is long in the making on a small computer."""
    reopen: float = 45.0
    """For each later one. A slow camera sends its first picture late."""
    unknown: float = 30.0
    """Without a frame of a camera that is connected and whose pace is not known yet."""
    first_pause: float = 0.5
    """Before the source is opened again; doubles each time it did not help."""
    longest_pause: float = 15.0

    def pause(self, failures: int) -> float:
        """Before the next opening, after so many that did not help."""
        return float(min(self.first_pause * 2.0 ** min(failures, 30), self.longest_pause))


class Looks:
    """Judges the frames of one camera, also across its reopening."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._last: NDArray[np.uint8] | None = None
        self._fault: CameraWord | None = None
        self._since = 0.0

    def begin(self, now: float) -> None:
        """The source was opened anew: what was wrong may last its time once more."""
        self._since = now

    def see(self, pixels: Image, now: float) -> tuple[CameraWord | None, bool]:
        """What is wrong with a frame ("black", "frozen" or None), and whether it has been so for too long."""
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
"""Times the longest of the last gaps between two frames that a camera may be silent for."""
GAPS = 5
MOST_BAD = 3
"""Damaged frames in a row that are no more than damaged frames, however long they took."""


class Pace:
    """How fast the frames of a connection come: what is late for one camera is usual for another."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._gaps: deque[float] = deque(maxlen=GAPS)
        self._last: float | None = None
        self._bad = 0

    def good(self, now: float) -> None:
        """A whole frame came."""
        if self._last is not None:
            self._gaps.append(now - self._last)
        self._last, self._bad = now, 0

    def bad(self) -> None:
        """A damaged frame came."""
        self._bad += 1

    @property
    def usual(self) -> float:
        """Seconds of silence that are worth no word."""
        return max(self._patience.stall / 2, LATE / 2 * max(self._gaps, default=0.0))

    @property
    def bearable(self) -> float:
        """Seconds of silence of a connection that stands, before it is opened again."""
        if not self._gaps:
            return max(self._patience.stall, self._patience.unknown)
        return max(self._patience.stall, LATE * max(self._gaps))

    def only_bad(self, silent: float) -> bool:
        """Whether nothing but damaged frames comes, for so many seconds."""
        return self._bad >= MOST_BAD and silent >= self._patience.stall

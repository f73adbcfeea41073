"""Frame rate and latency of a live count."""

from __future__ import annotations

import time
from collections import deque

import numpy as np

WINDOW_S = 4.0
"""Averaging window for frame rate and latency, seconds."""


class Pace:
    """Frame rate and latency over the last WINDOW_S seconds.

    Enter it as a context manager around each frame.
    """

    def __init__(self) -> None:
        self._frames: deque[tuple[float, float]] = deque()
        self._entered = 0.0

    def __enter__(self) -> None:
        self._entered = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        now = time.perf_counter()
        self._frames.append((now, now - self._entered))
        while now - self._frames[0][0] > WINDOW_S:
            self._frames.popleft()

    @property
    def fps(self) -> float:
        if len(self._frames) < 2:
            return 0.0
        return (len(self._frames) - 1) / (self._frames[-1][0] - self._frames[0][0])

    @property
    def latency_ms(self) -> float:
        """95th percentile of the latency, milliseconds."""
        return float(np.percentile([took for _, took in self._frames], 95)) * 1000 if self._frames else 0.0

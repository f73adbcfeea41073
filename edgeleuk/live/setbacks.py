"""Setbacks that a count gets over by itself: a disk that takes nothing for a while, and a clock that is set.

A small computer has no battery behind its clock, and a service nobody at its keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf

RETRY_S = 30.0
"""Between two trials to keep a field. Each costs the analysis of one; a card is emptied in minutes."""
CLOCK_S = 60.0
"""By which a clock must move to be told of. What keeps it right by the network moves it by less, but at the start."""
SPACE_AGAIN = "fields can be kept again; counting goes on."


class Disk:
    """Whether the count waits for the disk, and since when it may try again. Nothing is counted in between."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused = False
        self._again = inf

    @property
    def refuses(self) -> bool:
        """Whether the last field that was tried was not kept."""
        return self._refused

    @property
    def tries(self) -> bool:
        """Whether it is time to try again."""
        return self._clock() >= self._again

    def is_due(self) -> bool:
        """Whether to try again now. True once for each refusal."""
        due = self.tries
        if due:
            self._again = inf
        return due

    def refused(self) -> bool:
        """A field was not kept. True for the first one: the others need no word."""
        first, self._refused = not self._refused, True
        self._again = self._clock() + RETRY_S
        return first

    def taken(self) -> bool:
        """A field was kept. True where one was refused before."""
        before, self._refused = self._refused, False
        self._again = inf
        return before

    def leave(self) -> None:
        """Do not try: the operator decides when counting goes on."""
        self._again = inf


class WallClock:
    """Notices that the computer's clock was set while a count runs, by the clock that only ever goes on."""

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] | None = None
    ) -> None:
        self._wall, self._steady = wall, steady or _steady
        self._apart = wall() - self._steady()

    def moved(self) -> float | None:
        """Seconds by which the clock was set since the last look: negative for back, None for hardly at all."""
        apart = self._wall() - self._steady()
        moved, self._apart = apart - self._apart, apart
        return moved if abs(moved) >= CLOCK_S else None

    def behind(self, at: str) -> float | None:
        """Seconds by which the clock is behind a time that was written (ISO 8601), None for hardly or not at all."""
        seconds = (datetime.fromisoformat(at) - datetime.fromtimestamp(self._wall(), UTC)).total_seconds()
        return seconds if seconds >= CLOCK_S else None


def set_text(seconds: float) -> str:
    """For the operator, of a clock that was set by so many seconds."""
    way = "back" if seconds < 0 else "forward"
    return f"this computer's clock was set {way} by {_long(seconds)}. Fields keep the order in which they were counted."


def behind_text(seconds: float) -> str:
    """For the operator, of a session whose last field is later than now."""
    return (
        f"this computer's clock is {_long(seconds)} behind the last field of this session; set it with `date`. "
        "Fields keep the order in which they were counted."
    )


def _steady() -> float:
    """Seconds that go on also while the computer sleeps, where the system tells them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _long(seconds: float) -> str:
    """A length of time in its two largest units: 365 days, 2 hours 5 minutes."""
    whole = timedelta(seconds=round(abs(seconds)))
    hours, minutes = divmod(whole.seconds // 60, 60)
    if whole.days:
        return _many(whole.days, "day")
    return f"{_many(hours, 'hour')} {_many(minutes, 'minute')}" if hours else _many(minutes, "minute")


def _many(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"

"""Recovery from full disks and clock changes.

The count goes on by itself: a small computer has no battery for its clock, and a service has no operator.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import inf

RETRY_S = 30.0
"""Time between two storing attempts, seconds.

Each attempt costs the analysis of a field; freeing space on a card takes minutes.
"""
CLOCK_S = 60.0
"""Minimum change of the clock to report, seconds.

Network time synchronisation changes it by less, except at the start.
"""
SPACE_AGAIN = "fields can be kept again; counting goes on."


class StoreRetry:
    """State of storing: accepting, or waiting to retry.

    Nothing is counted between two attempts.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused = False
        self._again = inf

    @property
    def refuses(self) -> bool:
        """Whether the last storing attempt failed."""
        return self._refused

    @property
    def tries(self) -> bool:
        """Whether it is time to try again."""
        return self._clock() >= self._again

    def is_due(self) -> bool:
        """Return whether to try again now; True once per refusal."""
        due = self.tries
        if due:
            self._again = inf
        return due

    def refused(self) -> bool:
        """Record that a field was not stored.

        Returns:
            True for the first one in a row; the others need no message.
        """
        first, self._refused = not self._refused, True
        self._again = self._clock() + RETRY_S
        return first

    def taken(self) -> bool:
        """Record that a field was stored.

        Returns:
            True if the one before was refused.
        """
        before, self._refused = self._refused, False
        self._again = inf
        return before

    def leave(self) -> None:
        """Stop retrying: the operator decides when counting goes on."""
        self._again = inf


class WallClock:
    """Detector of changes to the computer's clock during a count.

    It compares the clock with one that never jumps.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] | None = None
    ) -> None:
        self._wall, self._steady = wall, steady or _steady
        self._apart = wall() - self._steady()

    def moved(self) -> float | None:
        """Return the clock's change since the last call, seconds.

        Negative if it was set back; None below CLOCK_S.
        """
        apart = self._wall() - self._steady()
        moved, self._apart = apart - self._apart, apart
        return moved if abs(moved) >= CLOCK_S else None

    def behind(self, at: str) -> float | None:
        """Return the clock's lag behind a stored time, seconds.

        None below CLOCK_S. `at`: the stored time, ISO 8601.
        """
        seconds = (datetime.fromisoformat(at) - datetime.fromtimestamp(self._wall(), UTC)).total_seconds()
        return seconds if seconds >= CLOCK_S else None


def set_text(seconds: float) -> str:
    """Return the message about a clock set by `seconds`."""
    way = "back" if seconds < 0 else "forward"
    return f"this computer's clock was set {way} by {_long(seconds)}. Fields keep the order in which they were counted."


def behind_text(seconds: float) -> str:
    """Return the message about a session's field in the future."""
    return (
        f"this computer's clock is {_long(seconds)} behind the last field of this session; set it with `date`. "
        "Fields keep the order in which they were counted."
    )


def _steady() -> float:
    """Return monotonic seconds, including sleep where available."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _long(seconds: float) -> str:
    """Format a duration in its two largest units.

    Such as 365 days, 2 hours 5 minutes.
    """
    whole = timedelta(seconds=round(abs(seconds)))
    hours, minutes = divmod(whole.seconds // 60, 60)
    if whole.days:
        return _many(whole.days, "day")
    return f"{_many(hours, 'hour')} {_many(minutes, 'minute')}" if hours else _many(minutes, "minute")


def _many(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"

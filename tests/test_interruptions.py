"""What a count gets over by itself: when it tries a full disk again, and how it notices a clock that was set."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.counting.interruptions import CLOCK_S, RETRY_S, StoreRetry, WallClock, behind_text, set_text

DAY_S = 86400.0


class Clock:
    def __init__(self, now: float = 1e9) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_a_disk_that_refused_is_tried_again_after_a_while() -> None:
    """Once for each refusal, and only the first is worth a word."""
    clock = Clock()
    disk = StoreRetry(clock)
    assert not disk.is_due()
    assert disk.refused()
    assert not disk.is_due()
    clock.now += RETRY_S
    assert [disk.is_due(), disk.is_due()] == [True, False]
    assert not disk.refused()
    clock.now += RETRY_S
    assert disk.is_due()
    assert [disk.taken(), disk.taken()] == [True, False]
    assert disk.refused()


def test_a_disk_is_left_alone_when_the_operator_decides() -> None:
    """A pause or its end is not undone by a trial."""
    clock = Clock()
    disk = StoreRetry(clock)
    disk.refused()
    disk.leave()
    clock.now += 10 * RETRY_S
    assert not disk.is_due()


@given(st.floats(-1e9, 1e9).filter(lambda s: abs(s) > CLOCK_S + 1), st.floats(0, 1e6))
def test_a_clock_that_is_set_is_noticed_once(set_by: float, later: float) -> None:
    """By how much, whatever time passed meanwhile."""
    wall, steady = Clock(), Clock(50.0)
    clock = WallClock(wall, steady)
    wall.now += later
    steady.now += later
    assert clock.moved() is None
    wall.now += set_by
    assert clock.moved() == pytest.approx(set_by, abs=1e-3)
    assert clock.moved() is None


def test_a_clock_behind_what_was_written_is_noticed() -> None:
    """A Pi without a network wakes up in the past: its session was written later than now."""
    now = datetime(2026, 1, 31, 9, tzinfo=UTC)
    clock = WallClock(Clock(now.timestamp()), Clock())
    assert clock.behind("2026-01-31T09:00:30.000+00:00") is None
    assert clock.behind("2025-01-31T09:00:00.000+00:00") is None
    assert clock.behind("2026-02-02T09:00:00.000+00:00") == 2 * DAY_S


def test_the_words_give_length_and_direction() -> None:
    """So that the operator can see whether it was a year or a summer time."""
    assert "set back by 365 days." in set_text(-365 * DAY_S)
    assert "set forward by 1 hour 0 minutes." in set_text(3600)
    assert "is 5 minutes behind" in behind_text(300)
    assert "is 1 day behind" in behind_text(1.2 * DAY_S)

"""Clock check.

A Raspberry Pi 4 has no battery for its clock, and without a network shows some past time after a start.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgeleuk.doctor.findings import Finding
from edgeleuk.sessions import SessionSummary

RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
"""Earliest plausible date; a clock that shows less is wrong.

It lies before this version of edgeleuk was made.
"""
TOLERANCE = timedelta(minutes=2)
"""Tolerated lead of a session's time over the clock.

Clocks are set by some seconds at any time.
"""
DRIFT_S = 3600.0
"""Maximum difference between hardware clock and system, seconds.

A chip beyond it keeps no time, as one without a battery.
"""
NOT_SYNCHRONISED = 5
"""Value TIME_ERROR of adjtimex(2)."""
TIMEX_BYTES = 512
"""Buffer size for struct timex, bytes.

More than it has on any architecture (208 on 64-bit ones).
"""
SET = 'sudo date -s "2026-12-31 09:00"'
HOW = "With the right date and time, that of this place. Where there is a network: sudo timedatectl set-ntp true"


def clock(
    newest: SessionSummary | None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    synchronised: Callable[[], bool | None] | None = None,
    chips: Path = Path("/sys/class/rtc"),
) -> Finding:
    """Check whether the date is plausible.

    Sessions keep their order, and counts their pace, whatever the date is.

    Args:
        newest: Newest session, which must not lie in the future.
        now: Returns the current time.
        synchronised: Returns whether a time server set the clock; the kernel's answer by default.
        chips: Folder of the hardware clocks.
    """
    at, set_by_network = now(), (synchronised or is_synchronised)()
    kept = _battery(chips, at)
    facts = {
        "now": at.isoformat(timespec="seconds"),
        "synchronised": set_by_network,
        "battery_clock": kept,
        "newest_session": newest.id if newest else None,
    }
    shown = f"{at:%Y-%m-%d %H:%M} UTC"
    if at < RELEASED:
        said = f"The clock shows {shown}, which is before this program was made."
        return Finding("clock", "warning", f"{said} {KEEPS}", SET, HOW, facts)
    if newest and (last := _latest(newest)) > at + TOLERANCE:
        said = (
            f"The clock shows {shown}, and session {newest.id} is of {last:%Y-%m-%d %H:%M}: it was set back."
        )
        return Finding("clock", "warning", f"{said} {KEEPS}", SET, HOW, facts)
    if set_by_network:
        return Finding("clock", "ok", f"{shown}, set by a network.", facts=facts)
    if kept:
        return Finding(
            "clock", "ok", f"{shown}, kept by a chip of its own; no network has set it.", facts=facts
        )
    said = f"{shown}; no network has set the clock, and it has no battery: compare it with a watch."
    return Finding("clock", "warning", f"{said} {KEEPS}", SET, HOW, facts)


KEEPS = "Sessions and fields keep their order; their dates are as wrong as the clock."


def is_synchronised() -> bool | None:
    """Return whether a time server sets the kernel's clock.

    None where the kernel does not tell (not Linux).
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        state = libc.adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))  # all zero: nothing is changed
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != NOT_SYNCHRONISED


def _battery(chips: Path, now: datetime) -> bool:
    """Check whether a battery-backed hardware clock is running.

    A Pi 5 has the clock, and a battery only where one was added.
    """
    for path in sorted(chips.glob("rtc*/since_epoch")):
        try:
            if abs(float(path.read_text()) - now.timestamp()) < DRIFT_S:
                return True
        except (OSError, ValueError):
            continue
    return False


def _latest(session: SessionSummary) -> datetime:
    """Return the latest time recorded in a session.

    The clock may have been set during the session.
    """
    times = filter(None, (session.started, session.last, session.ended))
    return max(datetime.fromisoformat(each) for each in times)

"""Log of control slides, and what it says now.

The log is a list of entries to which is only added. All else follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from edgeleuk.errors import DamagedError, EdgeleukError
from edgeleuk.quality_control.control import Control, ControlRun
from edgeleuk.sessions import Store

Kind = Literal["set", "run", "note", "retire"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log."""

    number: int
    """Number in the log, from 1."""
    at: str
    """Time, UTC, ISO 8601."""
    control: str
    """Name of the control slide."""
    kind: Kind
    value: Control | ControlRun | str
    """The control as set, the run, or a remark or reason."""


@dataclass(frozen=True, slots=True)
class Standing:
    """State of one control slide at a time."""

    control: Control
    last: Entry | None
    """Last run, evaluated or not; None before the first."""
    failed: Entry | None
    """Rejected run that no good one has followed; None while in control."""
    overdue_hours: float | None
    """Hours since the last good run, or since the control was set.

    None unless they exceed the interval.
    """
    runs: int
    """Runs since the expected values were set."""

    @property
    def last_run(self) -> ControlRun | None:
        return self.last.value if self.last and isinstance(self.last.value, ControlRun) else None

    @property
    def passes(self) -> bool:
        """Whether it passes now.

        It was counted, did not fail, is not overdue, and its last run could be evaluated.
        """
        evaluated = self.last_run is not None and self.last_run.state != "not_evaluated"
        return evaluated and not self.failed and self.overdue_hours is None


def encode(value: Control | ControlRun | str) -> bytes:
    """Encode the value of an entry."""
    return msgspec.msgpack.encode(value)


def decode(number: int, at: str, control: str, kind: str, record: bytes) -> Entry:
    """Decode an entry of the log.

    Raises:
        DamagedError: Its record is damaged, or of a newer edgeleuk.
    """
    kinds: dict[str, Any] = {"set": Control, "run": ControlRun, "note": str, "retire": str}
    try:
        value = msgspec.msgpack.decode(record, type=kinds[kind])
        datetime.fromisoformat(at)
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        raise DamagedError(
            f"entry {number} of the log of control slides cannot be read: {error}. Its disk may be failing, or a"
            " newer edgeleuk wrote it."
        ) from error
    return Entry(number, at, control, kind, value)  # type: ignore[arg-type]  # one of the kinds above


def read(store: Store, lost: list[str] | None = None) -> list[Entry]:
    """Return the log of control slides.

    Raises:
        DamagedError: An entry cannot be read and `lost` is None.
    """
    entries = []
    for each in store.control_log(lost):
        try:
            entries.append(decode(each.number, each.at, each.control, each.kind, each.record))
        except EdgeleukError as error:
            if lost is None:
                raise
            lost.append(str(error))
    return entries


def controls(entries: Iterable[Entry]) -> dict[str, Control]:
    """Return the controls in use, as last set, by name."""
    found: dict[str, Control] = {}
    for each in entries:
        if isinstance(each.value, Control):
            found[each.control] = each.value
        elif each.kind == "retire":
            found.pop(each.control, None)
    return found


def runs(entries: Iterable[Entry], control: str) -> list[tuple[Entry, ControlRun]]:
    """Return the runs of a control in the order of counting."""
    return [
        (each, each.value)
        for each in entries
        if each.control == control and isinstance(each.value, ControlRun)
    ]


def last_evaluated(entries: Sequence[Entry], control: str) -> ControlRun | None:
    """Return the last evaluated run since the control was set."""
    for each in reversed(entries):
        if each.control == control:
            if isinstance(each.value, ControlRun) and each.value.values:
                return each.value
            if each.kind in ("set", "retire"):
                return None
    return None


def standings(entries: Sequence[Entry], now: datetime) -> list[Standing]:
    """Return the state of every control in use.

    Entries count in their order, whatever a clock that was set back makes of their times.

    Args:
        entries: The log, or its beginning.
        now: Time with its zone.
    """
    return [_standing(entries, control, now) for control in controls(entries).values()]


def until(entries: Iterable[Entry], time: datetime) -> list[Entry]:
    """Return the entries that were made up to a time."""
    return [each for each in entries if datetime.fromisoformat(each.at) <= time]


def _standing(entries: Sequence[Entry], control: Control, now: datetime) -> Standing:
    last = failed = None
    since, counted = "", 0
    for each in entries:
        if each.control != control.name:
            continue
        if each.kind == "retire":
            last = failed = None
            since = ""
        elif isinstance(each.value, Control):
            since, counted = since or each.at, 0
        elif isinstance(each.value, ControlRun):
            last, counted = each, counted + 1
            if each.value.state == "rejected":
                failed = each
            elif each.value.state in ("in_control", "warning"):
                failed = None
            if each.value.state != "not_evaluated":
                since = each.at
    return Standing(control, last, failed, _overdue(control, since, now), counted)


def _overdue(control: Control, since: str, now: datetime) -> float | None:
    """Return the hours since a time, if too many."""
    if control.every_hours is None or not since:
        return None
    passed = now - datetime.fromisoformat(since)
    return passed / timedelta(hours=1) if passed > timedelta(hours=control.every_hours) else None

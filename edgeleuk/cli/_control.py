"""Control slides for the commands: the log, and the warning on results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edgeleuk.cli._console import warn
from edgeleuk.errors import EdgeleukError
from edgeleuk.system import file_io

if TYPE_CHECKING:
    from edgeleuk.differential.verdict import Reason, Verdict
    from edgeleuk.quality_control.log import Entry, Standing
    from edgeleuk.sessions import Store


def log_of(store: Store, lost: list[str] | None = None) -> list[Entry]:
    """Return the log of control slides.

    Raises:
        DamagedError: An entry cannot be read and `lost` is None.
    """
    from edgeleuk.quality_control import log

    entries = []
    for each in store.control_log(lost):
        try:
            entries.append(log.decode(each.number, each.at, each.control, each.kind, each.record))
        except EdgeleukError as error:
            if lost is None:
                raise
            lost.append(str(error))
    return entries


def entries_of(path: Path | None) -> list[Entry]:
    """Return the log of control slides, before the store is used.

    Empty without one, and where sessions cannot be read: that is reported where they are kept.

    Args:
        path: Session file; None for the user's own.
    """
    from edgeleuk.sessions import default_path, open_store

    lost: list[str] = []
    try:
        if file_io.is_absent(path or default_path()):
            return []
        with open_store(path, create=False) as opened:
            entries = log_of(opened, lost)
    except EdgeleukError:
        return []
    for text in lost:
        warn(f"{text} Whether the control slide passed is not sure.")
    return entries


def reasons_now(entries: Sequence[Entry], magnification: str, device: str) -> tuple[Reason, ...]:
    """Return what speaks against the results of now.

    Args:
        entries: Log of control slides.
        magnification: Objective of the result.
        device: Device of the result.
    """
    return reasons_at(entries, datetime.now(UTC), magnification, device) if entries else ()


def reasons_at(
    entries: Sequence[Entry], now: datetime, magnification: str, device: str
) -> tuple[Reason, ...]:
    """Return what speaks against results of a time.

    Args:
        entries: Log of control slides up to that time.
        now: That time, with its zone.
        magnification: Objective of the result.
        device: Device of the result.
    """
    from edgeleuk.quality_control.log import standings

    found = [
        each
        for each in standings(entries, now)
        if each.control.magnification == magnification and each.control.device in ("", device)
    ]
    return tuple(reason for each in found for reason in _reasons(each))


def _reasons(standing: Standing) -> list[Reason]:
    from edgeleuk.differential.verdict import Reason
    from edgeleuk.quality_control.control import ControlRun
    from edgeleuk.render.quality_control import value_text, when

    name, again = standing.control.name, f"`edgeleuk qc run {standing.control.name} PICTURES`"
    found = []
    if standing.failed and isinstance(run := standing.failed.value, ControlRun):
        values = ", ".join(value_text(each) for each in run.rejected[:3])
        more = f" and {len(run.rejected) - 3} more" if len(run.rejected) > 3 else ""
        said = (
            f"Control slide {name} failed on {when(standing.failed.at)}: {values}{more}. Do not rely on this result."
            f" Check lamp, focus, objective and stain, then count the control again: {again}."
        )
        found.append(Reason("control_failed", said))
    if standing.overdue_hours is not None:
        every = standing.control.every_hours or 0
        said = (
            f"Control slide {name} is overdue: no good count for {standing.overdue_hours:.0f} hours, and it is due every"
            f" {every:g}. Count it: {again}."
        )
        found.append(Reason("control_overdue", said))
    return found


def with_reasons(verdict: Verdict, reasons: tuple[Reason, ...]) -> Verdict:
    """Return a verdict that gives these reasons first."""
    return replace(verdict, reasons=(*reasons, *verdict.reasons)) if reasons else verdict

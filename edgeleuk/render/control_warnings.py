"""Warnings of control slides on results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from edgeleuk.counting.kept import Kept
from edgeleuk.differential.verdict import Reason, Verdict
from edgeleuk.quality_control.control import ControlRun
from edgeleuk.quality_control.log import Entry, Standing, standings, until
from edgeleuk.render.quality_control import value_text, when
from edgeleuk.review import Review
from edgeleuk.system.wording import command


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
    found = [
        each
        for each in standings(entries, now)
        if each.control.magnification == magnification and each.control.device in ("", device)
    ]
    return tuple(reason for each in found for reason in _reasons(each))


def _reasons(standing: Standing) -> list[Reason]:
    name = standing.control.name
    again = f"`{command('qc run')} {name} PICTURES`"
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


def controlled(kept: Kept, review: Review, entries: Sequence[Entry]) -> tuple[Kept, Review]:
    """Return a session and its review with warnings of controls.

    The verdicts of both tell of failed control slides. The state at the session's end counts. A signature
    covers no such reason.

    Args:
        kept: The session.
        review: Its review.
        entries: Log of control slides.
    """
    about = kept.summary
    time = datetime.fromisoformat(about.ended or about.last or about.started)
    against = reasons_at(until(entries, time), time, about.magnification, about.device)
    if not against:
        return kept, review
    program, result = (
        replace(each, verdict=with_reasons(each.verdict, against)) for each in (review.program, review.result)
    )
    result_of_kept = replace(kept.result, verdict=with_reasons(kept.result.verdict, against))
    return replace(kept, result=result_of_kept), replace(review, program=program, result=result)

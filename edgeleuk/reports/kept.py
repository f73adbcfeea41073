"""Report of a kept session with its review."""

from __future__ import annotations

from collections.abc import Sequence

from edgeleuk.counting.kept import Kept
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.reports import pictures
from edgeleuk.reports.gathering import Context, gather, wanted
from edgeleuk.reports.report import Remark, Report
from edgeleuk.review import Review
from edgeleuk.sessions import Session


def report_of(
    session: Session,
    kept: Kept,
    review: Review,
    rules: Rules,
    reference: Reference,
    lost: Sequence[str] = (),
) -> Report:
    """Return the report of a session as of a review.

    Args:
        session: Session, from which the cells' pictures come.
        kept: The session with its result.
        review: Its review, which may be empty.
        rules: Rules of the differential.
        reference: Reference ranges.
        lost: What a damaged file lost beside what `kept` lost, a sentence each.
    """
    about, missing = kept.summary, [*kept.lost, *lost]
    remarks = [Remark(about.started, about.operator, about.notes)] if about.notes else []
    remarks += [Remark(note.at, "", note.text) for note in kept.notes]
    remarks += [Remark(note.at, note.who, note.why) for note in review.notes]
    images = pictures.from_session(session.counted(missing), wanted(review.result, review))
    context = Context(
        session=about.id,
        second_of=session.first,
        review=review,
        remarks=tuple(remarks),
        lost=tuple(dict.fromkeys(missing)),
        images=images,
    )
    return gather(review.result, rules, reference, context)

"""Failed control slides on kept sessions and their reviews."""

from __future__ import annotations

from pathlib import Path

import pytest
from reviewed import NORMAL, keep, kept, reading, store_at
from standard import REFERENCE, RULES

from edgeleuk.quality_control import log
from edgeleuk.quality_control.control import Control, ControlRun, EvaluatedValue, Expected
from edgeleuk.render.control_warnings import controlled
from edgeleuk.review import OpenReview
from edgeleuk.sessions import Store


def fail(store: Store) -> None:
    """Enter a control slide of the 40x objective that failed."""
    expected = (Expected("neutrophil", 60.0, 5.0),)
    values = (EvaluatedValue("neutrophil", 80.0, 60.0, 5.0, 4.0, "1-3s"),)
    store.add_to_control_log("c1", "set", log.encode(Control("c1", "c1", "40x", expected)))
    store.add_to_control_log("c1", "run", log.encode(ControlRun("0" * 36, "rejected", 200, values)))


def count(store: Store) -> str:
    """Keep a session of a healthy slide; return its id."""
    return keep(store, [reading(label) for label in NORMAL])


@pytest.mark.parametrize("failed", [False, True])
def test_every_verdict_of_a_session_tells_of_a_failed_control(tmp_path: Path, failed: bool) -> None:
    """That of the program, and that of the review, which stays signed; the line is as it was."""
    with store_at(tmp_path) as store:
        if failed:
            fail(store)
        found = kept(store, count(store))
        opened = OpenReview(store, found, RULES, REFERENCE)
        signed = opened.sign("ann", opened.review().last)
        session, review = controlled(found, signed, log.read(store))
        assert session.result.verdict.line == found.result.verdict.line
        for verdict in (session.result.verdict, review.program.verdict, review.result.verdict):
            codes = [reason.code for reason in verdict.reasons]
            assert (codes[:1] == ["control_failed"]) is failed
        again = OpenReview(store, session, RULES, REFERENCE).review()
        assert again.signed
        assert [revision.faults for revision in again.revisions] == [()]


def test_a_control_that_failed_later_says_nothing(tmp_path: Path) -> None:
    """What holds is what was known when the session ended."""
    with store_at(tmp_path) as store:
        found = kept(store, count(store))
        fail(store)
        review = OpenReview(store, found, RULES, REFERENCE).review()
        assert controlled(found, review, log.read(store)) == (found, review)

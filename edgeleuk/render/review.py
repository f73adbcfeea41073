"""Review of a slide for JSON, and in a line.

JSON has it as plain values.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgeleuk.review import Review
from edgeleuk.sessions import Entry


def as_json(review: Review) -> dict[str, Any]:
    """Return a review as plain values for JSON.

    The program's figures stand elsewhere in a document; these are people's alone.
    """
    return {
        "state": review.state,
        "signed": review.signed,
        "revision": review.revision,
        "reviewed": review.reviewed,
        "white_cells": len(review.cells),
        "changed": [
            {"cell": cell.identity, "program": cell.program, "label": cell.label, "by": cell.by}
            for cell in review.changed
        ],
        "added": [asdict(cell) for cell in review.added],
        "revisions": [asdict(revision) for revision in review.revisions],
        "trail": [_entry(entry) for entry in review.trail],
        "faults": list(review.faults),
    }


def in_a_line(review: Review) -> str:
    """Return state, signature and progress of a review.

    Such as "final, revision 1 signed by A. B. on 2026-11-30; 40 of 120 marked cells reviewed, 3 changed".
    """
    signed = f"revision {review.revision} not signed"
    if signature := review.signature:
        signed = f"revision {signature.number} signed by {signature.by} on {signature.at[:10]}"
    added = f", {len(review.added)} added by hand" if review.added else ""
    return (
        f"{review.state}, {signed}; {review.reviewed} of {len(review.cells)} marked cells reviewed,"
        f" {len(review.changed)} changed{added}"
    )


def shortly(review: Review) -> str:
    """Return the state of a review in a few words.

    The text is for a list, such as "final, signed by A. B." or "preliminary, 40 of 120 looked at".
    """
    if review.faults:
        return "the trail has a fault"
    if signature := review.signature:
        return f"{review.state}, signed by {signature.by}"
    if not review.trail:
        return "not reviewed"
    again = f", changed after revision {review.revisions[-1].number} was signed" if review.revisions else ""
    return f"preliminary{again}, {review.reviewed} of {len(review.cells)} looked at"


def _entry(entry: Entry) -> dict[str, Any]:
    """Return an entry, without the parts that it does not have."""
    always = {"number", "at", "who", "action", "revision", "group", "hash"}
    return {
        name: value for name, value in asdict(entry).items() if name in always or value not in (None, (), "")
    }

"""States of a review, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["preliminary", "final", "amended"]
"""State of a review.

Preliminary: never signed. Final: signed once, and not changed since. Amended: changed after a signature.
"""
Act = Literal["look", "change", "undo", "sign", "amend"]
"""Act of a reviewer, as the table of states knows it.

A change is a reclassification, a cell added by hand, or a note.
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """State of a review, and whether its revision is signed."""

    state: State
    signed: bool


PRELIMINARY = Standing("preliminary", signed=False)
FINAL = Standing("final", signed=True)
AMENDED = Standing("amended", signed=False)
AMENDED_SIGNED = Standing("amended", signed=True)

NEXT: Mapping[tuple[Standing, Act], Standing] = {
    (PRELIMINARY, "look"): PRELIMINARY,
    (PRELIMINARY, "change"): PRELIMINARY,
    (PRELIMINARY, "undo"): PRELIMINARY,
    (PRELIMINARY, "sign"): FINAL,
    (FINAL, "change"): AMENDED,
    (FINAL, "amend"): AMENDED,
    (AMENDED, "look"): AMENDED,
    (AMENDED, "change"): AMENDED,
    (AMENDED, "undo"): AMENDED,
    (AMENDED, "sign"): AMENDED_SIGNED,
    (AMENDED_SIGNED, "change"): AMENDED,
    (AMENDED_SIGNED, "amend"): AMENDED,
}
"""Standing after an act; an act that is absent is refused.

From a signed standing, a change or an amendment opens the next revision.
"""

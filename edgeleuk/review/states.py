"""States of a review, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edgeleuk.errors import UsageError
from edgeleuk.sessions.trail import Action

State = Literal["preliminary", "final", "amended"]
"""State of a review.

Preliminary: never signed. Final: signed once, and not changed since. Amended: changed after a signature.
"""
Act = Literal["look", "change", "undo", "sign", "amend"]
"""Act of a reviewer, as the table of states knows it."""

ACTS: Mapping[Action, Act] = {
    "looked_at": "look",
    "reclassify": "change",
    "add": "change",
    "note": "change",
    "undo": "undo",
    "sign": "sign",
    "amend": "amend",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """State of a review, and whether its revision is signed."""

    state: State
    signed: bool

    def __str__(self) -> str:
        return f"{self.state}, {'signed' if self.signed else 'not signed'}"


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

What leads from a signed standing to one that is not opens the next revision.
"""
_REFUSED: Mapping[Act, str] = {
    "look": "this revision is signed: looking at it changes nothing.",
    "undo": "this revision is signed: nothing is undone in it. Change what is wrong, which opens the next revision.",
    "sign": "this revision is signed already. Amend it first, and say why.",
    "amend": "this revision is not signed: change it as it is.",
}


def after(standing: Standing, act: Act) -> Standing:
    """Return the standing after an act.

    Raises:
        UsageError: If the act is not possible.
    """
    if (found := NEXT.get((standing, act))) is None:
        raise UsageError(_REFUSED.get(act, f"not possible: the review is {standing}."))
    return found


def opens_revision(standing: Standing, act: Act) -> bool:
    """Return whether an act opens the next revision."""
    return standing.signed and not after(standing, act).signed

"""The verdict on a slide: one line that says what to do next, and the reasons behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edgeleuk.types import Place

Code = Literal["not_usable", "look_again", "too_few_cells", "nothing_flagged"]

TITLES: Mapping[Code, str] = {
    "not_usable": "NOT USABLE",
    "look_again": "LOOK AGAIN",
    "too_few_cells": "TOO FEW CELLS",
    "nothing_flagged": "NOTHING FLAGGED",
}
STYLES: Mapping[Code, str] = {
    "not_usable": "bold white on red",
    "look_again": "bold black on yellow",
    "too_few_cells": "bold white on blue",
    "nothing_flagged": "bold black on green",
}
"""Rich styles that stand out on a light and on a dark terminal."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a verdict."""

    code: str
    """Words joined by underscores. Reasons about blasts contain "blast"."""
    text: str
    """A short sentence or two: what was seen, and what to do."""
    cells: tuple[Place, ...] = ()
    """The white cells it is about, those to look at first come first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the count of a slide allows to say. It never changes an exit code."""

    code: Code
    text: str
    """One sentence or two, without the title."""
    reasons: tuple[Reason, ...] = ()
    """All that speaks against the slide, the gravest first."""

    @property
    def title(self) -> str:
        """The code in capitals, as it is printed."""
        return TITLES[self.code]

    @property
    def line(self) -> str:
        """Title and text."""
        return f"{self.title}: {self.text}"


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain values for JSON."""
    return {
        "code": verdict.code,
        "text": verdict.text,
        "reasons": [
            {
                "code": reason.code,
                "text": reason.text,
                "cells": [{"picture": place.picture, "number": place.number} for place in reason.cells],
            }
            for reason in verdict.reasons
        ],
    }

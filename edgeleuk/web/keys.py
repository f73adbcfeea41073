"""Single letters that give a cell its type."""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_lowercase

from edgeleuk.types import NOT_A_CELL, UNCLASSIFIED

FIXED = {NOT_A_CELL: "x", UNCLASSIFIED: "q"}
"""Letters that are the same for every model."""
RESERVED = frozenset({"z", "x", "q"})
"""Letters that no type gets: undo, and those of FIXED."""


def letters(labels: Iterable[str]) -> dict[str, str]:
    """Return a letter for each label.

    The first letter of its name that no label before it has, else the first free one of the alphabet; empty where there
    is none left.
    """
    found: dict[str, str] = {}
    taken = set(RESERVED)
    for label in labels:
        own = FIXED.get(label) or next(
            (
                each
                for each in (*label.lower(), *ascii_lowercase)
                if each in ascii_lowercase and each not in taken
            ),
            "",
        )
        found[label] = own
        taken.add(own)
    return found

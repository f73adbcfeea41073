"""Append-only trail of a session's review."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from edgeleuk.types import Box

Action = Literal["reclassify", "looked_at", "add", "note", "undo", "sign", "amend"]


@dataclass(frozen=True, slots=True)
class NewEntry:
    """Entry of a trail before it is kept."""

    who: str
    action: Action
    revision: int
    cell: int | None = None
    """Cell on the map; negative for one added by hand; None for none."""
    before: str | None = None
    """Label before."""
    after: str | None = None
    """Label after; None to go back to the label before the review."""
    why: str = ""
    """Reason, or the text of a note."""
    cells: tuple[int, ...] = ()
    """Cells that were looked at."""
    undoes: int | None = None
    """Group that is undone."""
    field: int | None = None
    """Number of the field of a cell added by hand."""
    box: Box | None = None
    """Box of a cell added by hand, pixels of the file."""
    signed: str = ""
    """What was signed, JSON: snapshot, result, facts, counts, verdict."""


@dataclass(frozen=True, slots=True)
class Entry(NewEntry):
    """Entry of a trail as kept."""

    number: int = 0
    """Number in the trail, from 1."""
    at: str = ""
    """Time, UTC, ISO 8601."""
    group: int = 0
    """Number of the first entry that was made with it: they are undone together."""
    hash: str = ""
    """SHA-256 over the hash of the entry before and this entry."""


Build = Callable[[tuple[Entry, ...]], Sequence[NewEntry]]


class Trail:
    """Trail of one session."""

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries, in order."""
        raise NotImplementedError

    def append(self, build: Build) -> tuple[Entry, ...]:
        """Add the entries that `build` makes of the present ones."""
        raise NotImplementedError

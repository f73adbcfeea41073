"""Finding of the session that a user means by a slide."""

from __future__ import annotations

from dataclasses import dataclass

from edgeleuk.sessions import Store


@dataclass(frozen=True, slots=True)
class FoundSlide:
    """Session that a text names."""

    session: str
    """Full id of the session."""
    others: tuple[str, ...] = ()
    """Ids of further, older sessions of the same slide id."""
    remark: str = ""
    """Sentence to tell the user if there are others; else empty."""


def find_slide(store: Store, text: str) -> FoundSlide:
    """Return the session that a text names.

    A session's id or UUID, or the beginning of one; else a slide id, whose newest session is meant.

    Raises:
        UsageError: If it names none, or the beginning of several.
    """
    raise NotImplementedError

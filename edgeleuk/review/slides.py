"""Finding of the session that a user means by a slide."""

from __future__ import annotations

from dataclasses import dataclass

from edgeleuk.errors import UsageError
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

    A session's id; else a slide id, whose newest session is meant; else the beginning of a session's id or
    UUID. A slide id never means a second opinion, which would stand in for the slide's own session.

    Raises:
        UsageError: If it names none, the beginning of several, or a slide that has second opinions alone.
    """
    every = store.list([])
    if any(text in (each.id, each.uuid) for each in every):
        return FoundSlide(next(each.id for each in every if text in (each.id, each.uuid)))
    named = [each for each in every if text and each.slide == text]
    same = [each.id for each in named if not each.second_of]
    if named and not same:
        raise UsageError(
            f"slide {text} has no session of its own here, only a second opinion. Name it by its session id:"
            f" {', '.join(each.id for each in named)}."
        )
    if not same:
        try:
            return FoundSlide(store.get(text).id)
        except UsageError as error:
            if not every:
                raise
            slides = ", ".join(dict.fromkeys(each.slide for each in every if each.slide))
            known = f" Slides here: {slides}." if slides else " No session here has a slide id."
            raise UsageError(f"{error}{known}") from error
    first, *others = same
    if not others:
        return FoundSlide(first)
    count = "2 sessions" if len(same) == 2 else f"{len(same)} sessions"
    remark = f"slide {text} has {count}; this is the newest, {first}. Older: {', '.join(others)}."
    return FoundSlide(first, tuple(others), remark)

"""Kept sessions by the model in use, and messages about damaged ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeleuk.cli._console import warn
from edgeleuk.cli._model import chosen
from edgeleuk.errors import UsageError

if TYPE_CHECKING:
    from edgeleuk.counting.kept import Kept
    from edgeleuk.differential.rules import Reference, Rules
    from edgeleuk.review import Review
    from edgeleuk.sessions import Store


def reviewed(
    store: Store, session: str, model_folder: Path | None, rules: Rules, reference: Reference
) -> tuple[Kept, Review, tuple[str, ...]]:
    """Return a session with its differential, its review, and what was lost.

    The differential is that of its slide map, by the present model and rules.

    Raises:
        UsageError: The named model is for another objective.
    """
    from edgeleuk.counting.kept import restored
    from edgeleuk.quality_control import log
    from edgeleuk.render.control_warnings import controlled
    from edgeleuk.review import OpenReview

    found, lost = store.get(session), list[str]()
    summary = found.readable_summary([])
    model = chosen(model_folder, None if model_folder else summary.magnification)
    if model.magnification != summary.magnification:
        raise UsageError(
            f"session {summary.id} was counted at {summary.magnification}, and {model_folder} holds a "
            f"{model.magnification} model. Name the folder of a model of that objective."
        )
    if model.version != summary.model_version:
        warn(
            f"session {summary.id} was counted by version {summary.model_version} of the {model.magnification} model, and"
            f" the one here is {model.version}. Types are as they were read; intervals and flags follow the one here."
        )
    kept = restored(found, model, rules, reference)
    review = OpenReview(store, kept, rules, reference).review(lost)
    kept, review = controlled(kept, review, log.read(store, lost))
    return kept, review, (*kept.lost, *lost)


def session_of(store: Store, text: str) -> str:
    """Return the id of the session that a slide id, a session id or its beginning means.

    Of a slide with several sessions it is the newest, and the others are told.

    Raises:
        UsageError: There is none.
    """
    from edgeleuk.review import find_slide

    found = find_slide(store, text)
    if found.remark:
        warn(found.remark)
    return found.session


def only_session_of(store: Store, text: str) -> str:
    """Return the id as `session_of`, for a session that is to be changed.

    Raises:
        UsageError: There is none, or the slide has several.
    """
    from edgeleuk.review import find_slide

    found = find_slide(store, text)
    if found.others:
        several = ", ".join((found.session, *found.others))
        raise UsageError(f"slide {text} has more than one session: {several}. Name one by its session id.")
    return found.session


def tell_lost(lost: Sequence[str]) -> None:
    """Warn about data lost from a damaged session file."""
    for text in lost:
        warn(text)
    if lost:
        warn(
            "the file of the sessions is damaged, and its disk may be failing. Copy it elsewhere; `sqlite3 FILE .recover` may"
            " save more of it."
        )

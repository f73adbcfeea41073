"""Result of a kept session by the present model and rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.models.registry import Model
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.sessions import Note, Session, SessionSummary
from edgeleuk.slidemap import MappedCell
from edgeleuk.types import Reading


@dataclass(frozen=True, slots=True)
class Kept:
    """All data of a stored session."""

    summary: SessionSummary
    notes: tuple[Note, ...]
    unassessed: frozenset[int]
    """Numbers of fields stored without their quality.

    An older edgeleuk did so.
    """
    result: SlideResult
    """Result by the present model and rules."""
    cells: Mapping[int, MappedCell]
    """White cells of the map by number.

    Each is read from all its views, or as marked.
    """
    model: Model
    lost: tuple[str, ...] = ()
    """What a damaged session file lost, a sentence each."""
    own: Mapping[int, Reading | None] = field(default_factory=dict)
    """The reader's own readings of marked cells, by number."""
    spoken: Mapping[str, str] = field(default_factory=dict)
    """Display names of the fields, by name."""


def restored(session: Session, model: Model, rules: Rules, reference: Reference) -> Kept:
    """Return a session with its differential.

    The differential is that of its slide map, by the present model and rules.

    Args:
        session: Session to read.
        model: Model of the session's objective.
        rules: Rules of the differential.
        reference: Reference ranges.

    Raises:
        ModelError: The session was read with other types.
    """
    raise NotImplementedError

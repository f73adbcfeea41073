"""Result of a kept session by the present model and rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from edgeleuk.analysis.analyser import Analyser
from edgeleuk.counting.scale_policy import ScalePolicy
from edgeleuk.counting.slide import SlideCount, SlideOptions
from edgeleuk.differential.rules import Reference, Rules
from edgeleuk.errors import ModelError
from edgeleuk.models.registry import Model
from edgeleuk.results.slide_result import SlideResult
from edgeleuk.sessions import Note, Session, SessionSummary
from edgeleuk.slidemap import MappedCell, made_of_stills
from edgeleuk.system.wording import command, option
from edgeleuk.types import WHITE_CELL, CountedField, Reading


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
    where: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Place of each white cell in `result.fields`, by number.

    Index of the field, and of the cell in it.
    """
    number: int = 0
    """Number of the last field."""
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
    lost: list[str] = []
    summary = session.readable_summary(lost)
    analyser, counted = Analyser(model, later=True), session.counted(lost)
    first = next(counted, None)
    options = SlideOptions(
        stills=first is not None and made_of_stills(first, model), red_cells=summary.red_cells
    )
    slide = SlideCount(analyser, rules, reference, ScalePolicy(analyser), options)
    # One field at a time, so that their images do not stay in memory.
    slide.restore(
        _checked(chain(filter(None, [first]), counted), summary, model),
        session.marks(lost),
        session.refused(lost),
    )
    result, cells = slide.result(summary.about), slide.map.cells
    return Kept(
        summary,
        session.notes(lost),
        session.unassessed(lost),
        result,
        cells,
        model,
        tuple(lost),
        own={identity: slide.map.own_reading(identity) for identity in result.marks if identity in cells},
        where=_where(result, slide.map.identities()),
        number=slide.number,
        spoken=slide.spoken(),
    )


def _where(result: SlideResult, identities: Iterable[Sequence[int]]) -> dict[int, tuple[int, int]]:
    return {
        identity: (position, index)
        for position, (shown, own) in enumerate(zip(result.fields, identities, strict=True))
        for index, (cell, identity) in enumerate(zip(shown.cells, own, strict=True))
        if cell.kind == WHITE_CELL
    }


def _checked(
    counted: Iterable[CountedField], summary: SessionSummary, model: Model
) -> Iterator[CountedField]:
    """Yield the fields of a session as they are read.

    Raises:
        ModelError: As by `check_types`.
    """
    for each in counted:
        check_types(summary, [each], model)
        yield each


def check_types(summary: SessionSummary, counted: Sequence[CountedField], model: Model) -> None:
    """Require that the model knows all cell types of a session.

    Views of a cell can only be combined by a reader that knows every type they were weighed by.

    Args:
        summary: Session, for the message.
        counted: Fields of the session.
        model: Model that reads the session now.

    Raises:
        ModelError: The session was read with other types.
    """
    readings = (cell.reading for each in counted for cell in each.field.cells if cell.reading)
    if any(reading.probabilities.keys() != {*model.reader.labels} for reading in readings):
        raise ModelError(
            f"session {summary.id} was counted by version {summary.model_version} of the {model.magnification} model,"
            f" which tells other types than the one here, {model.version}. Use the old one again, where it is installed:"
            f" `{command('models use')} {model.magnification} {summary.model_version}`; or name its folder by {option('model')}."
        )

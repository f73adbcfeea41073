"""Messages about damaged sessions, and checks of their cell types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgeleuk.cli._console import warn
from edgeleuk.errors import ModelError

if TYPE_CHECKING:
    from edgeleuk.models.registry import Model
    from edgeleuk.sessions import SessionSummary
    from edgeleuk.types import CountedField


def tell_lost(lost: Sequence[str]) -> None:
    """Warn about data lost from a damaged session file."""
    for text in lost:
        warn(text)
    if lost:
        warn(
            "the file of the sessions is damaged, and its disk may be failing. Copy it elsewhere; `sqlite3 FILE .recover` may"
            " save more of it."
        )


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
            f" `edgeleuk models use {model.magnification} {summary.model_version}`; or name its folder by --model."
        )

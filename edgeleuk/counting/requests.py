"""Requests of the operator of a live count."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Command(Enum):
    """Commands of the operator."""

    PAUSE = auto()
    COUNT = auto()
    UNDO = auto()
    ARTEFACT = auto()
    NOTE = auto()
    NEXT_SLIDE = auto()
    FINISH = auto()
    HELP = auto()


@dataclass(frozen=True, slots=True)
class Mark:
    """Request to override the type of one white cell."""

    identity: int
    """Number of the cell on the map."""
    label: str = "artefact"


@dataclass(frozen=True, slots=True)
class NextSlide:
    """Request to end this count and to begin that of another slide."""

    slide: str
    """Id of the other slide."""


@dataclass(frozen=True, slots=True)
class Question:
    """Confirmation of a command that may be unintended."""

    text: str
    """Question, ending with a question mark."""
    yes: str
    """Effect of y, such as "ends"."""
    no: str
    """Effect of any other key, such as "goes on"."""
    answer: Command | Mark
    """Request that y makes."""

    @property
    def line(self) -> str:
        """Question with its answers."""
        return f"{self.text} y {self.yes}, any other key {self.no}."


END = Question("End the count?", "ends", "goes on", Command.FINISH)


def asked(command: Command) -> Question | None:
    """Return the question before a command.

    None for a command that runs at once.
    """
    return END if command is Command.FINISH else None


Request = Command | Mark | NextSlide | str
"""Command, cell to mark, next slide, or text of a note."""

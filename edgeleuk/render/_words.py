"""Small things that several texts share: names, times, numbers and how severe flags look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.text import Text

from edgeleuk._text import escaped
from edgeleuk.rules import Severity
from edgeleuk.types import spoken

DOTS = "..."
LEAST = 16
"""Cells that a name needs to tell anything."""

SEVERITY_STYLES: Mapping[Severity, str] = {"alert": "bold red", "warning": "yellow", "note": "cyan"}


PICTURE_WORDS: Mapping[str, str] = {
    "focus": "out of focus",
    "motion": "moved",
    "bright": "overexposed",
    "pale": "pale stain",
    "dense": "dark stain",
    "thick": "cells too dense",
    "sparse": "few cells",
    "unknown": "much unclear",
    "domain": "no smear",
    "colours": "wrong colours",
    "drawn": "drawn into",
    "coarse": "too little detail",
    "objective": "other objective?",
    "scale": "scale unknown",
    "ScaleError": "scale unknown",
    "UnforeseenError": "fault in the program",
}
"""What limits a picture, by the code of a finding or refusal."""


def picture_word(code: str) -> str:
    """What limits a picture, in a word or two; a fault of a file has the name of an error as its code."""
    return PICTURE_WORDS.get(code, "not readable" if code.endswith("Error") else spoken(code))


def flag_title(code: str) -> str:
    """A flag's code as words. What has no vowel, as NRBC, is an abbreviation and stays one."""
    words = [word.lower() if set(word) & set("AEIOUY") else word for word in code.split("_")]
    return f"{words[0][:1].upper()}{' '.join(words)[1:]}"


def short(name: str, width: int) -> str:
    """A picture's name in at most `width` cells.

    Folders go first, from the left, as they are what pictures share. What is left is cut in its middle: pictures of one
    slide differ at the end, those of several at the beginning.
    """
    parts = clean(name).split("/")
    for first in range(len(parts)):
        rest = "/".join(parts[first:])
        if cell_len(rest) <= width:
            return rest
    return cut(parts[-1], width)


def cut(text: str, width: int) -> str:
    """The beginning and the end of a text in at most `width` cells, all of it where there is room."""
    if cell_len(text) <= width:
        return text
    room = max(width - len(DOTS), 0)
    start = set_cell_size(text, room // 2).rstrip()
    end = set_cell_size(text[::-1], room - room // 2)[::-1].lstrip()
    return f"{start}{DOTS[:width]}{end}"


class Fitted:
    """A text that a table cuts to the room it has for it."""

    def __init__(self, text: str, fit: Callable[[str, int], str] = short) -> None:
        self._text, self._fit = clean(text), fit

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text(self._fit(self._text, options.max_width), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        whole = cell_len(self._text)
        return Measurement(min(whole, LEAST), whole)


def clean(text: str) -> str:
    """On one line, with what could steer a terminal written out, see `escaped`; spaces of any width are plain ones."""
    return "".join(" " if char.isspace() else char for char in escaped(text))


def elapsed(seconds: float) -> str:
    """Hours, minutes and seconds: 0:12:34."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"

"""Text formatting shared by the renderers.

Names, times, and styles of flags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.text import Text

from edgeleuk._text import escaped
from edgeleuk.differential.rules import Severity
from edgeleuk.differential.verdict import Verdict
from edgeleuk.system.language import _, current, msgid, ngettext, word
from edgeleuk.system.sentences import guarded
from edgeleuk.types import UNCLASSIFIED
from edgeleuk.types import spoken as english_name

DOTS = "..."
LEAST = 16
"""Minimum width of a name, terminal cells.

A shorter name would be meaningless.
"""

SEVERITY_STYLES: Mapping[Severity, str] = {"alert": "bold red", "warning": "yellow", "note": "cyan"}


PICTURE_WORDS: Mapping[str, str] = {
    "focus": msgid("out of focus"),
    "motion": msgid("moved"),
    "bright": msgid("overexposed"),
    "pale": msgid("pale stain"),
    "dense": msgid("dark stain"),
    "thick": msgid("cells too dense"),
    "sparse": msgid("few cells"),
    "unknown": msgid("much unclear"),
    "domain": msgid("no smear"),
    "colours": msgid("wrong colours"),
    "drawn": msgid("drawn into"),
    "coarse": msgid("too little detail"),
    "objective": msgid("perhaps another objective"),
    "scale": msgid("scale unknown"),
    "ScaleError": msgid("scale unknown"),
    "UnforeseenError": msgid("fault in the program"),
}
"""Words for codes of findings and refusals."""


def picture_word(code: str) -> str:
    """Return words for a finding's or refusal's code.

    The code of a faulty file is the name of an error.
    """
    if text := PICTURE_WORDS.get(code):
        return _(text)
    return _("not readable") if code.endswith("Error") else spoken(code)


def spoken(name: str) -> str:
    """Return a label, attribute or code as display text.

    The text is in the language in use.
    """
    return word(english_name(name))


def read_text(label: str, probability: float) -> str:
    """Return a reading with its probability, such as "blast, 93 %"."""
    name = spoken(label)
    return name if label == UNCLASSIFIED else f"{name}{_(', ')}{100 * probability:.0f} %"


def counted_text(count: int | None, noun: str) -> str:
    """Return a count with its noun; None means not counted.

    `noun`: the English noun in the singular.
    """
    n = 0 if count is None else count
    form, missing = {
        "white cell": (ngettext("{n} white cell", "{n} white cells", n), _("white cells not counted")),
        "red cell": (ngettext("{n} red cell", "{n} red cells", n), _("red cells not counted")),
        "platelet": (ngettext("{n} platelet", "{n} platelets", n), _("platelets not counted")),
        "platelet clump": (
            ngettext("{n} platelet clump", "{n} platelet clumps", n),
            _("platelet clumps not counted"),
        ),
        "cell": (ngettext("{n} cell", "{n} cells", n), _("cells not counted")),
        "marked cell": (ngettext("{n} marked cell", "{n} marked cells", n), ""),
        "field": (ngettext("{n} field", "{n} fields", n), ""),
        "picture": (ngettext("{n} picture", "{n} pictures", n), ""),
    }[noun]
    return missing if count is None else form.format(n=n)


def verdict_title(verdict: Verdict) -> str:
    """Return the title of a verdict.

    It is in the language in use, see `guarded`.
    """
    return guarded(verdict.title, _(verdict.title))


def verdict_line(verdict: Verdict) -> str:
    """Return title and text of a verdict in the language in use."""
    return f"{verdict_title(verdict)}: {guarded(verdict.text)}"


def unchecked_notice() -> str:
    """Return that the translation was not checked; empty if it was."""
    if current().is_checked:
        return ""
    return _(
        "No native reader has checked this translation yet. The English text stands beside what safety depends on."
    )


def with_micro(text: str) -> str:
    """Return a text with µm and µL.

    They replace um and uL in a text of the program. Terminals and tables keep to ASCII; pages do not need to.
    """
    return re.sub(r"(?<=\d )u(?=m2?\b|L\b)|(?<=per )u(?=L\b)|\bu(?=m per )", "µ", text)


def flag_title(code: str) -> str:
    """Return a flag's code as words.

    A word without a vowel, such as NRBC, is an abbreviation and keeps its capitals.
    """
    words = [word.lower() if set(word) & set("AEIOUY") else word for word in code.split("_")]
    return word(f"{words[0][:1].upper()}{' '.join(words)[1:]}")


def short(name: str, width: int) -> str:
    """Shorten a picture's name to at most `width` cells.

    Folders are dropped first, from the left, as pictures share them. The rest is cut in its middle: pictures
    of one slide differ at the end of their names, those of several slides at the beginning.
    """
    parts = clean(name).split("/")
    for first in range(len(parts)):
        rest = "/".join(parts[first:])
        if cell_len(rest) <= width:
            return rest
    return cut(parts[-1], width)


def cut(text: str, width: int) -> str:
    """Cut out a text's middle.

    The result has at most `width` cells, and the whole text if there is room.
    """
    if cell_len(text) <= width:
        return text
    room = max(width - len(DOTS), 0)
    start = set_cell_size(text, room // 2).rstrip()
    end = set_cell_size(text[::-1], room - room // 2)[::-1].lstrip()
    return f"{start}{DOTS[:width]}{end}"


class Fitted:
    """Text that a table shortens to the available width."""

    def __init__(self, text: str, fit: Callable[[str, int], str] = short) -> None:
        self._text, self._fit = clean(text), fit

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text(self._fit(self._text, options.max_width), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        whole = cell_len(self._text)
        return Measurement(min(whole, LEAST), whole)


def clean(text: str) -> str:
    """Make a text safe for one terminal line.

    Control characters are escaped, see `escaped`; any white space becomes a plain space.
    """
    return "".join(" " if char.isspace() else char for char in escaped(text))


def elapsed(seconds: float) -> str:
    """Return hours, minutes and seconds, such as 0:12:34."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"

"""Output on terminals and in pipes that cannot show every letter: what is near in ASCII stands for the rest."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

from edgeleuk._text import readable

ERRORS = "edgeleuk.nearest"
"""Name of the handler, as a stream's `errors`."""
NEAREST = str.maketrans(
    {
        "µ": "u", "μ": "u", "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-", "…": "...", "±": "+/-", "×": "x", "•": "*",
        "·": ".", "°": " deg", "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "≤": "<=", "≥": ">=", "→": "->",
        "━": "=", "─": "-", "╌": "-", "│": "|", "┃": "|", "█": "#", "▌": "#", "░": ".",
        "ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",
    }
)  # fmt: skip
LINES, BLOCKS, DOTS = range(0x2500, 0x2580), range(0x2580, 0x25A0), range(0x2800, 0x2900)
"""Drawn with: corners and crossings of boxes, parts of bars, and the dots of a wheel that turns while one waits."""


def show_what_can_be_shown() -> None:
    """Let no letter end the program, on stdout or stderr, whatever their encoding."""
    codecs.register_error(ERRORS, _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


def _nearest(error: UnicodeError) -> tuple[str | bytes, int]:
    """What stands for letters that an encoding lacks, and where to go on; called by the codec."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    end = error.end
    while end < len(error.object) and "\udc80" <= error.object[end] <= "\udcff":
        end += 1  # some codecs, as those of East Asia, give the bytes of one letter one by one
    lacking = readable(error.object[error.start : end])
    if error.encoding == "utf-8":
        return lacking.encode(), end
    # Most other codecs do not tell their names, and every one has ASCII.
    return "".join(map(_ascii, lacking)), end


def _ascii(char: str) -> str:
    """A letter, or what is near it; a question mark for what has nothing near."""
    plain = unicodedata.normalize("NFKD", char.translate(NEAREST))
    if near := plain.encode("ascii", "ignore").decode():
        return near
    if ord(char) in LINES:
        return "+"
    if ord(char) in BLOCKS:
        return "#"
    if ord(char) in DOTS:
        return "*"
    # As wide as the letter, so that what follows in a table stays in its column.
    return "??" if unicodedata.east_asian_width(char) in "WF" else "?"

"""ASCII substitutes for characters that an output cannot encode."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

from edgeleuk._text import readable

ERRORS = "edgeleuk.nearest"
"""Name of the codec error handler, the `errors` of a stream."""
NEAREST = str.maketrans(
    {
        "µ": "u", "μ": "u", "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-", "…": "...", "±": "+/-", "×": "x", "•": "*",
        "·": ".", "°": " deg", "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "≤": "<=", "≥": ">=", "→": "->",
        "━": "=", "─": "-", "╌": "-", "│": "|", "┃": "|", "█": "#", "▌": "#", "░": ".",
        "ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",
    }
)  # fmt: skip
LINES, BLOCKS, DOTS = range(0x2500, 0x2580), range(0x2580, 0x25A0), range(0x2800, 0x2900)
"""Code points of box lines, bar blocks, and spinner dots."""


def show_what_can_be_shown() -> None:
    """Prevent encoding errors on stdout and stderr.

    No character ends the program, whatever the encoding.
    """
    codecs.register_error(ERRORS, _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


def _nearest(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return substitutes for characters that an encoding lacks.

    A codec calls this. The second value is where encoding continues.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    end = error.end
    while end < len(error.object) and "\udc80" <= error.object[end] <= "\udcff":
        end += 1  # some codecs, such as those of East Asia, report the bytes of a character singly
    lacking = readable(error.object[error.start : end])
    if error.encoding == "utf-8":
        return lacking.encode(), end
    # Most other codecs do not state their name, and each of them has ASCII.
    return "".join(map(_ascii, lacking)), end


def _ascii(char: str) -> str:
    """Return the nearest ASCII text, or a question mark."""
    plain = unicodedata.normalize("NFKD", char.translate(NEAREST))
    if near := plain.encode("ascii", "ignore").decode():
        return near
    if ord(char) in LINES:
        return "+"
    if ord(char) in BLOCKS:
        return "#"
    if ord(char) in DOTS:
        return "*"
    # As wide as the character, so that table columns stay aligned.
    return "??" if unicodedata.east_asian_width(char) in "WF" else "?"

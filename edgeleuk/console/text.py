"""Fixed-width pieces of a line.

They are text, numbers, meters, and bars with whiskers. All glyphs beyond ASCII are in code page 437, which
the console of a Raspberry Pi without a desktop has too.
"""

from __future__ import annotations

import textwrap
from itertools import groupby

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from edgeleuk.render._words import clean
from edgeleuk.render.typography import BEFORE_UNIT, NO_BREAK
from edgeleuk.system.language import figure

Piece = tuple[str, str]
"""Text and its style."""
SOLID, SHADE, TRACK, LINE, LEFT, RIGHT, BOTH = "█░·─├┤│"


def line(width: int, *pieces: Piece) -> Text:
    """Join pieces into one line of exactly `width` cells.

    What does not fit is cut off.
    """
    text = Text.assemble(*(piece for piece in pieces if piece[0]), no_wrap=True, overflow="crop", end="\n")
    text.truncate(width, overflow="crop", pad=True)
    return text


def fit(text: str, width: int, right: bool = False) -> str:
    """Pad or cut text to exactly `width` cells.

    Dots mark where it is cut.

    Args:
        text: Text of any length.
        width: Width, terminal cells.
        right: Align to the right.
    """
    text = clean(text)
    if cell_len(text) > width:
        text = set_cell_size(text, max(width - 3, 0)) + "..."[:width]
    room = " " * (width - cell_len(text))
    return room + text if right else text + room


def wrapped(text: str, width: int) -> list[str]:
    """Wrap text into lines of at most `width` characters.

    A number and its unit stay together.
    """
    kept = BEFORE_UNIT.sub(NO_BREAK, clean(text))
    return [clean(part) for part in textwrap.wrap(kept, width)]


def number(count: int, width: int) -> str:
    """Return a count, right-aligned in `width` cells.

    Five cells are enough for any count.
    """
    rounded = (f"{count / worth:.0f}{unit}" for unit, worth in (("k", 1e3), ("M", 1e6), ("G", 1e9)))
    shown = next(text for text in (f"{count:,}", str(count), *rounded) if len(text) <= width)
    return figure(shown).rjust(width)


def decimal(value: float, width: int) -> str:
    """Return a number with one decimal, right-aligned.

    It takes `width` cells, and has no decimal if that would not fit.
    """
    return fit(
        figure(next((text for text in (f"{value:.1f}", f"{value:.0f}") if len(text) <= width), "+++")),
        width,
        True,
    )


def lapse(seconds: float) -> str:
    """Return a duration in at most 6 cells.

    Such as 12 s, 3 min, 2 h.
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{min(seconds / 3600, 999):.0f} h"


def meter(name: str, value: float, width: int, style: str) -> list[Piece]:
    """Return a name, a bar and a percentage.

    Args:
        name: Name in front of the bar.
        value: Length of the bar, 0 to 1.
        width: Total width, terminal cells.
        style: Style of the bar.
    """
    value = min(max(0.0, value), 1.0)  # in this order, NaN becomes 0
    room = width - cell_len(name) - 7
    filled = round(room * value)
    return [
        (f"{name} ", "dim"),
        (SOLID * filled, style),
        (TRACK * (room - filled), "dim"),
        (f"{100 * value:>4.0f} %", ""),
    ]


Span = tuple[float, float]
"""Lower and upper end, percent."""


def whiskers(
    percent: float | None, between: Span | None, width: int, colour: str, normal: Span | None
) -> list[Piece]:
    """Return a share as a bar with whiskers.

    Args:
        percent: Length of the bar, 0 to 100; None for no bar and no whiskers.
        between: Bounds of the share, drawn as whiskers on the bar.
        width: Width of 100 %, terminal cells.
        colour: Colour of the bar.
        normal: Reference range, drawn as shade behind the bar.
    """
    cells: list[Piece] = [(" ", "")] * width
    if normal:
        first, last = _at(normal[0], width), _at(normal[1], width)
        cells[first : last + 1] = [(SHADE, "dim")] * (last + 1 - first)
    filled = round(width * (percent or 0.0) / 100)
    cells[:filled] = [(SOLID, colour)] * filled
    if percent is not None and between:
        first, last = _at(between[0], width), _at(between[1], width)
        glyphs = BOTH if first == last else LEFT + LINE * (last - first - 1) + RIGHT
        for place, glyph in enumerate(glyphs, first):
            cells[place] = (glyph, f"white on {colour}" if place < filled else colour if percent else "dim")
    return [
        ("".join(char for char, _ in run), style) for style, run in groupby(cells, key=lambda cell: cell[1])
    ]


def _at(percent: float, width: int) -> int:
    return min(int(width * percent / 100), width - 1)

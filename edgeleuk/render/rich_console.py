"""Rich console for commands, safe against text from outside.

No such text can control the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from edgeleuk._text import escaped
from edgeleuk.render.typography import BEFORE_UNIT, NO_BREAK

USUAL = ConsoleDimensions(80, 25)
LEAST, MOST = 20, 1000
"""Range of plausible widths, columns.

Serial lines and containers report 0.
"""

_HELD, _HELD_NO_BREAK = "\ufdd0", "\ufdd1"
"""Spaces at which no line may end, while lines are broken.

rich breaks lines at every white space, no-break spaces too. These code points are for the inside of a program and stand in
no text (Unicode Standard, 23.7).
"""
_SHOWN = str.maketrans({_HELD: " ", _HELD_NO_BREAK: NO_BREAK})


class PlainConsole(Console):
    """Console that shows text literally.

    There is no markup and no `:emoji:`, and escape sequences are written out. No line ends between a number and its
    unit. Layouts measure the text they are given, so names should be escaped before they go into a table; the console
    catches those that were not.
    """

    def __init__(self, **options: Any) -> None:
        """Open a console with options of `rich.console.Console`."""
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and rows; default values replace implausible ones."""
        told = super().size
        width = told.width if LEAST <= told.width <= MOST else USUAL.width
        height = told.height if 0 < told.height <= MOST else USUAL.height
        return ConsoleDimensions(width, height)

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        self._width, self._height = new

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(escaped(text, keep="\n"), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, str):
            renderable = self.render_str(renderable)
        if isinstance(renderable, Text):
            renderable = _held(renderable)
        for each in super().render(renderable, options):
            segment = each if each.text.isascii() else each._replace(text=each.text.translate(_SHOWN))
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield segment._replace(text=escaped(segment.text, keep="\n"))


def _held(text: Text) -> Text:
    """Return a text in which no line ends within a measure.

    Its width stays the same.
    """
    plain = BEFORE_UNIT.sub(_HELD, text.plain).replace(NO_BREAK, _HELD_NO_BREAK)
    if plain == text.plain:
        return text
    held = text.copy()
    held.plain = plain
    return held

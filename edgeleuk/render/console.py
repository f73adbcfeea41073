"""The consoles of Rich that commands print to: what comes from outside steers none of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from edgeleuk._text import escaped

USUAL = ConsoleDimensions(80, 25)
LEAST, MOST = 20, 1000
"""Columns that a terminal may have: serial lines and containers say 0."""


class PlainConsole(Console):
    """A console on which a text is that text: no markup, no `:emoji:`, and escape sequences are written out.

    Layouts count the letters of what they are given, so that a name is to be escaped before it goes into a table; what
    was forgotten is caught here.
    """

    def __init__(self, **options: Any) -> None:
        """`options` are those of `rich.console.Console`."""
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and rows; usual ones where a terminal says that it has none, or more than any has."""
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
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield segment._replace(text=escaped(segment.text, keep="\n"))

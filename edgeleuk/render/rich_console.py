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

USUAL = ConsoleDimensions(80, 25)
LEAST, MOST = 20, 1000
"""Range of plausible widths, columns.

Serial lines and containers report 0.
"""


class PlainConsole(Console):
    """Console that shows text literally.

    There is no markup and no `:emoji:`, and escape sequences are written out. Layouts measure the text they
    are given, so names should be escaped before they go into a table; the console catches those that were
    not.
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
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield segment._replace(text=escaped(segment.text, keep="\n"))

"""The consoles of Rich that commands print to: what comes from outside steers none of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from edgeleuk._text import escaped


class PlainConsole(Console):
    """A console on which a text is that text: no markup, no `:emoji:`, and escape sequences are written out.

    Layouts count the letters of what they are given, so that a name is to be escaped before it goes into a table; what
    was forgotten is caught here.
    """

    def __init__(self, **options: Any) -> None:
        """`options` are those of `rich.console.Console`."""
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(escaped(text, keep="\n"), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield segment._replace(text=escaped(segment.text, keep="\n"))

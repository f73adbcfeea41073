"""A screen of its own on the terminal, kept with as few bytes as it takes. Imports little, so that it is there at once."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from rich.console import Console
from rich.control import Control
from rich.text import Text

from edgeleuk.live._terminal import unwound_by_signals
from edgeleuk.render.console import PlainConsole

KEPT_LINES = 20
"""Of what others wrote to standard error meanwhile."""
TITLE, DONE, NOW = "bold", "dim", "bold cyan"


def can_show(console: Console) -> bool:
    """Whether a screen can be drawn there: a terminal that moves its cursor, in a character set with bars."""
    return console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")


class Screen:
    """The terminal's second screen while in its context; the former one is back on every way out.

    Only lines that changed are written, over what was there, and nothing is cleared but on a change of the window's
    size: nothing flickers, and over SSH a few hundred bytes an update suffice. What libraries write to standard error
    meanwhile, as a camera's driver does about each broken frame, appears afterwards, the last lines of it.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or PlainConsole()
        self._stack = ExitStack()
        self._drawn: list[Text] = []
        self._size = (0, 0)

    def __enter__(self) -> Screen:
        with ExitStack() as stack:
            stack.enter_context(unwound_by_signals())
            stack.enter_context(_errors_held_back())
            stack.enter_context(self.console.screen())
            self._stack = stack.pop_all()
        self._drawn = []
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The former screen again. Safe to call twice."""
        with suppress(OSError):  # the terminal is gone, and nothing is left to restore
            self._stack.close()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the window."""
        return self.console.size

    def draw(self, lines: Sequence[Text], size: tuple[int, int]) -> None:
        """Show lines that fill a window of a size. A connection that broke is no error: a count goes on without it."""
        with suppress(OSError), self.console:  # written in one go
            if size != self._size or not self._drawn:
                self.console.control(Control.clear())
                self._size, self._drawn = size, []
            for row, text in enumerate(lines):
                if row >= len(self._drawn) or self._drawn[row] != text:
                    self.console.control(Control.move_to(0, row))
                    self.console.print(text, end="", no_wrap=True, overflow="crop")
        self._drawn = [*lines]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The former screen for a while, as when the program is suspended."""
        self.console.set_alt_screen(False)
        self.console.show_cursor(True)
        try:
            yield
        finally:
            self.console.set_alt_screen(True)
            self.console.show_cursor(False)
            self._drawn = []


def start_lines(steps: Sequence[str], width: int, height: int) -> list[Text]:
    """What is done before a count begins: steps that are over, and the last one, which takes time."""
    texts = [Text("edgeleuk live", TITLE), Text()]
    texts += [Text(f"{step}: done", DONE) for step in steps[:-1]]
    texts += [Text(f"{step} ...", NOW) for step in steps[-1:]]
    texts += [Text(), Text("Ctrl-C ends. Research use only.", DONE)]
    shown = texts[:height] + [Text()] * (height - len(texts))
    for text in shown:
        text.truncate(width, overflow="crop", pad=True)
    return shown


@contextmanager
def _errors_held_back() -> Iterator[None]:
    """Keeps what is written to standard error, by C libraries too, and prints the last lines of it at the end.

    Does nothing where standard error is no terminal, and so no danger to the screen.
    """
    try:
        real = sys.stderr.fileno()
        shown = os.isatty(real)
    except (AttributeError, OSError, ValueError):  # none, closed, or not a file
        shown = False
    if not shown:
        yield
        return
    kept: deque[bytes] = deque(maxlen=KEPT_LINES)
    sys.stderr.flush()
    saved = os.dup(real)
    read, write = os.pipe()
    os.dup2(write, real)
    os.close(write)
    reader = threading.Thread(target=_keep, args=(read, kept), name="held-back errors", daemon=True)
    reader.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, real)  # the last writing end closes, and the reader with it
        reader.join(timeout=1)
        with suppress(OSError):  # the terminal is gone
            os.write(saved, b"".join(kept))
        os.close(saved)


def _keep(read: int, kept: deque[bytes]) -> None:
    with os.fdopen(read, "rb") as pipe:
        kept.extend(pipe)

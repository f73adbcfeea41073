"""Alternate screen of the terminal.

Updates take few bytes. The module imports little, so that the screen appears at once.
"""

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

from edgeleuk.console.terminal_mode import unwound_by_signals
from edgeleuk.render.rich_console import PlainConsole
from edgeleuk.system.language import _, msgid
from edgeleuk.system.sentences import guarded, said

KEPT_LINES = 20
"""Number of standard-error lines printed afterwards."""
NOTICE = msgid("Research use only")
TITLE, DONE, NOW = "bold", "dim", "bold cyan"


def can_show(console: Console) -> bool:
    """Return whether a screen can be shown.

    It must be a terminal that can move its cursor, with a character set that has bars.
    """
    return console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")


class Screen:
    """Alternate screen, as a context manager.

    The former screen is restored on every way out. Only lines that changed are written, over the old ones,
    and the screen is cleared only when the window's size changes: nothing flickers, and over SSH a few
    hundred bytes per update suffice. Libraries may write to standard error meanwhile, as a camera's driver
    does about each broken frame; the last lines of that appear afterwards.
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
        """Restore the former screen; safe to call twice."""
        with suppress(OSError):  # the terminal is gone, and nothing is left to restore
            self._stack.close()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the window."""
        return self.console.size

    def draw(self, lines: Sequence[Text], size: tuple[int, int]) -> None:
        """Show lines that fill a window of the given size.

        A broken connection is no error: the count goes on without it.
        """
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
        """Show the former screen for a while, as when suspended."""
        self.console.set_alt_screen(False)
        self.console.show_cursor(True)
        try:
            yield
        finally:
            self.console.set_alt_screen(True)
            self.console.show_cursor(False)
            self._drawn = []


def start_lines(steps: Sequence[str], width: int, height: int) -> list[Text]:
    """Return the screen of a starting count.

    Args:
        steps: Steps so far: all but the last are done, the last one is running.
        width: Width of the window, terminal cells.
        height: Height of the window, lines.

    Returns:
        `height` lines of `width` cells.
    """
    texts = [Text("edgeleuk live", TITLE), Text()]
    texts += [Text(_("{step}: done").format(step=said(step)), DONE) for step in steps[:-1]]
    texts += [Text(f"{said(step)} ...", NOW) for step in steps[-1:]]
    texts += [Text(), Text(f"{_('Ctrl-C ends.')} {guarded(NOTICE, _(NOTICE))}.", DONE)]
    shown = texts[:height] + [Text()] * (height - len(texts))
    for text in shown:
        text.truncate(width, overflow="crop", pad=True)
    return shown


@contextmanager
def _errors_held_back() -> Iterator[None]:
    """Hold back standard error until the end.

    Then print its last lines. This covers C libraries too. Does nothing if standard error is no terminal, as
    it then cannot disturb the screen.
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
        os.dup2(saved, real)  # closes the last writing end, which ends the reader
        reader.join(timeout=1)
        with suppress(OSError):  # the terminal is gone
            os.write(saved, b"".join(kept))
        os.close(saved)


def _keep(read: int, kept: deque[bytes]) -> None:
    with os.fdopen(read, "rb") as pipe:
        kept.extend(pipe)

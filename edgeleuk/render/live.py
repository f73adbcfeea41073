"""The terminal view of a live count: what `live_layout` draws, kept on the screen with as few bytes as it takes."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from rich.console import Console
from rich.control import Control
from rich.text import Text

from edgeleuk.differential import Differential
from edgeleuk.live._terminal import unwound_by_signals
from edgeleuk.live.keys import Controls
from edgeleuk.live.state import LiveState
from edgeleuk.render.live_layout import (
    LEAST_HEIGHT,
    LEAST_WIDTH,
    Extras,
    framed,
    lines,
    middle,
    view,
)
from edgeleuk.render.live_parts import IDLE, Keyed
from edgeleuk.rules import Reference

__all__ = ["Extras", "LiveView", "can_show", "view"]

REDRAW_S = 0.12
"""Least time between two drawings: about eight a second, which an eye follows and a slow line carries."""
KEPT_LINES = 20
"""Of what others wrote to standard error meanwhile."""


def can_show(console: Console) -> bool:
    """Whether a screen can be drawn there: a terminal that moves its cursor, in a character set with bars."""
    return console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")


class LiveView:
    """A screen of its own on the terminal while in its context; the former one is back on every way out.

    Only lines that changed are written, over what was there, and nothing is cleared but on a change of the window's
    size: nothing flickers, and over SSH a few hundred bytes an update suffice. What libraries write to standard error
    meanwhile, as a camera's driver does about each broken frame, appears afterwards, the last lines of it.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        reference: Reference,
        attributes: Mapping[str, Sequence[str]] | None = None,
        controls: Controls | None = None,
        console: Console | None = None,
    ) -> None:
        """`labels` are all of the reader's; `attributes` and `reference` as in Extras; `controls` knows what is typed."""
        self._labels, self._controls = labels, controls
        self._extras = Extras(reference, attributes)
        self._console = console or Console(highlight=False)
        self._stack = ExitStack()
        self._drawn: list[Text] = []
        self._middle: list[Text] = []
        self._judged: Differential | None = None
        self._told: tuple[object, ...] = ()
        self._size = (0, 0)
        self._last = float("-inf")
        self._below_target = False

    def __enter__(self) -> LiveView:
        with ExitStack() as stack:
            stack.enter_context(unwound_by_signals())
            stack.enter_context(_errors_held_back())
            stack.enter_context(self._console.screen())
            self._stack = stack.pop_all()
        self._drawn = []
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the terminal is gone, and nothing is left to restore
            self._stack.close()

    def update(self, state: LiveState) -> None:
        """Show a state, unless the last one was shown just now. Rings once when the target is reached."""
        now = time.monotonic()
        if now - self._last >= REDRAW_S:
            self._last = now
            with suppress(OSError):  # a connection that broke is no reason to stop counting
                self._draw(state)
        below = state.differential.n < state.target
        if self._below_target and not below:
            self._console.bell()
        self._below_target = below

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The former screen for a while, as when the program is suspended."""
        self._console.set_alt_screen(False)
        self._console.show_cursor(True)
        try:
            yield
        finally:
            self._console.set_alt_screen(True)
            self._console.show_cursor(False)
            self._drawn, self._last = [], float("-inf")

    def _draw(self, state: LiveState) -> None:
        width, height = self._console.size
        extras = self._extras
        if self._controls:
            keys = self._controls
            keyed = Keyed(keys.asking, keys.typing, keys.dropping)
            extras = replace(extras, keyed=keyed, helping=keys.helping)
        wanted = self._lines(state, width, height, extras)
        with self._console:  # written in one go
            if (width, height) != self._size or not self._drawn:
                self._console.control(Control.clear())
                self._size, self._drawn = (width, height), []
            for row, text in enumerate(wanted):
                if row >= len(self._drawn) or self._drawn[row] != text:
                    self._console.control(Control.move_to(0, row))
                    self._console.print(text, end="", no_wrap=True, overflow="crop")
        self._drawn = wanted

    def _lines(self, state: LiveState, width: int, height: int, extras: Extras) -> list[Text]:
        """As `live_layout.lines`. Most of a screen changes only with the count, and is kept until then."""
        if width < LEAST_WIDTH or height < LEAST_HEIGHT:
            return lines(state, self._labels, width, height, extras)
        told = (
            state.last_added,
            state.last_cell,
            state.fields,
            state.slide_verdict,
            width,
            height,
            replace(extras, keyed=IDLE),
        )
        if state.differential is not self._judged or told != self._told:
            self._judged, self._told = state.differential, told
            self._middle = middle(state, self._labels, width, height, extras)
        return framed(state, self._middle, width, extras)


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

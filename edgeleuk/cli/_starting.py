"""What `edgeleuk live` shows from the first moment on: a screen, or lines, that say what takes so long."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.console import Console

from edgeleuk.live.keys import Keys
from edgeleuk.render.live_screen import Screen, can_show, start_lines


def output_here(plain: bool) -> str:
    """view, where a screen can be drawn, or plain."""
    return "view" if not plain and can_show(Console()) else "plain"


class Start:
    """The screen and the keys of a live count, from before its models are loaded to its end. A context manager."""

    def __init__(self, output: str) -> None:
        """`output` is view, plain or json."""
        self._output = output
        self._stack = ExitStack()
        self._steps: list[str] = []
        self._began = time.monotonic()
        self.screen: Screen | None = None
        """None where none is drawn."""
        self.keys = Keys()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self._output == "view":
                self.screen = stack.enter_context(Screen())
                self.keys = Keys(self.screen.aside)
            stack.enter_context(self.keys)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def step(self, text: str) -> None:
        """Say what is being done now, in a few words. JSON begins when the count does."""
        self._steps.append(text)
        if self.screen:
            size = self.screen.size
            self.screen.draw(start_lines(self._steps, *size), size)
        elif self._output == "plain":
            from edgeleuk.render.events import plain_line

            sys.stdout.write(plain_line(time.monotonic() - self._began, "starting", f"{text}.") + "\n")
            sys.stdout.flush()

    def close(self) -> None:
        """Give keys and screen back. Safe to call twice."""
        self._stack.close()

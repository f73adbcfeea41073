"""Start of `edgeleuk live`: a screen or lines that show progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console

from edgeleuk.console.keys import Keys
from edgeleuk.console.screen import Screen, can_show, start_lines
from edgeleuk.errors import MissingExtraError

if TYPE_CHECKING:
    from edgeleuk.counting.state import LiveState
    from edgeleuk.types import Frame


def output_here(plain: bool) -> str:
    """Return view where a screen can be drawn, else plain."""
    return "view" if not plain and can_show(Console()) else "plain"


class Start:
    """Screen, keys and preview of a live count.

    A context manager, from before the models are loaded to the end of the count.
    """

    def __init__(self, output: str, *, preview: bool = False) -> None:
        """Set the output: view, plain or json.

        `preview` asks for a window with the image.
        """
        self._output, self._preview = output, preview
        self._stack, self._window = ExitStack(), ExitStack()
        self.show_frame: Callable[[Frame, LiveState], None] | None = None
        """Function that shows a frame in the preview, or None."""
        self._steps: list[str] = []
        self._began = time.monotonic()
        self.screen: Screen | None = None
        """Screen, or None if none is drawn."""
        self.keys = Keys()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # First: there may be no desktop, and Tk fails with other threads, of which the screen has one.
            window = stack.enter_context(ExitStack())
            self.show_frame = _shown_in(window) if self._preview else None
            if self._output == "view":
                self.screen = stack.enter_context(Screen())
                self.keys = Keys(self.screen.aside)
            stack.enter_context(self.keys)
            self._window = window.pop_all()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._window.close()  # last, when the camera's thread has ended

    def step(self, text: str) -> None:
        """Report the current step, in a few words.

        JSON output begins only with the count.
        """
        self._steps.append(text)
        if self.screen:
            size = self.screen.size
            self.screen.draw(start_lines(self._steps, *size), size)
        elif self._output == "plain":
            from edgeleuk.render.events import plain_line

            sys.stdout.write(plain_line(time.monotonic() - self._began, "starting", f"{text}.") + "\n")
            sys.stdout.flush()

    def close(self) -> None:
        """Release keys and screen; safe to call twice."""
        self._stack.close()


def _shown_in(window: ExitStack) -> Callable[[Frame, LiveState], None]:
    """Open the preview window.

    Raises:
        UsageError: There is no desktop.
        MissingExtraError: There is no Tk.
    """
    try:
        from edgeleuk.console.preview_window import Preview
    except ImportError as error:
        raise MissingExtraError(
            "--preview needs Tk, which this Python lacks. `sudo apt install python3-tk`, or leave it out."
        ) from error
    return window.enter_context(Preview()).show

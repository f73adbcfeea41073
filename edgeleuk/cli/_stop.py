"""What Ctrl-C, and a request to end, do to a command."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

import typer
from typer.core import TyperGroup

from edgeleuk._text import message
from edgeleuk.cli._console import notices

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal, as shells have it; after SIGTERM it is 143."""


MISTAKE: type[Exception] = typer.BadParameter.__mro__[1]
"""In the command line: `UsageError` of the library below typer, which is another one in each version."""
ENDING = "ending (Ctrl-C: at once)"


class Stopped(Exception):  # noqa: N818  # no error
    """The user asked to end."""


class Stopping:
    """Hears Ctrl-C and SIGTERM, so that a command can end where nothing is torn. A second one ends the program at once.

    A context manager, of the main thread. A signal that whoever started the program had ignored stays so.
    """

    def __init__(self) -> None:
        self._heard: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __bool__(self) -> bool:
        """Whether the user asked to end."""
        return self._heard is not None

    @property
    def exit_code(self) -> int:
        return 128 + (self._heard or 0)

    def instead(self, text: str) -> Callable[[], str]:
        """What to say while a command is at work: `text`, and after Ctrl-C that it ends."""
        return lambda: ENDING if self else text

    def check(self) -> None:
        """Raise Stopped where the user asked to end."""
        if self:
            raise Stopped

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self:
            at_once(number)
        self._heard = signal.Signals(number)


def at_once(number: int) -> None:
    """End without another word. What was counted is on the disk; threads at work are not waited for."""
    try:
        notices.show_cursor()
    finally:
        os._exit(128 + number)


@contextmanager
def _plainly() -> Iterator[None]:
    """A mistake in the command line is told with its words as they were typed, whatever they would do to a terminal."""
    try:
        yield
    except MISTAKE as error:
        vars(error)["message"] = message(str(vars(error)["message"]))
        raise


class Commands(TyperGroup):
    """The commands, of which each ends at Ctrl-C with one line."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the words of the command line."""
        with _plainly():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            with _plainly():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            midway = notices.is_terminal  # which shows ^C
        except typer.Abort as error:
            midway = True  # in the line of a question
            if not isinstance(error.__context__, KeyboardInterrupt):
                raise
        # Threads and processes at work are waited for from here on: another Ctrl-C must not meet them with a traceback.
        signal.signal(signal.SIGINT, lambda number, _: at_once(number))
        notices.print("\ninterrupted" if midway else "interrupted")
        raise typer.Exit(INTERRUPTED)

"""Handling of Ctrl-C and SIGTERM in commands."""

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
from edgeleuk.cli._language import without_language
from edgeleuk.errors import UsageError
from edgeleuk.system.language import _
from edgeleuk.system.sentences import said

INTERRUPTED = 130
"""Exit code after Ctrl-C.

It is 128 plus the signal's number, as in shells; after SIGTERM it is 143.
"""


MISTAKE: type[Exception] = typer.BadParameter.__mro__[1]
"""Error class for mistakes in the command line.

It is `UsageError` of the library below typer, which is another one in each version.
"""
ENDING = "ending (Ctrl-C: at once)"


class Stopped(Exception):  # noqa: N818  # a request, not an error
    """Request of the user to end."""


class Stopping:
    """Listener for Ctrl-C and SIGTERM.

    A command can then end at a safe point. A second signal ends the program at once. A context manager, for the main
    thread. A signal that the parent process had ignored stays ignored.
    """

    def __init__(self) -> None:
        self._heard: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __bool__(self) -> bool:
        """Tell whether the user asked to end."""
        return self._heard is not None

    @property
    def exit_code(self) -> int:
        return 128 + (self._heard or 0)

    def instead(self, text: str) -> Callable[[], str]:
        """Return the progress text: `text`, or that it is ending."""
        return lambda: ENDING if self else text

    def check(self) -> None:
        """Raise Stopped if the user asked to end."""
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
    """Exit at once, without a message.

    Counted fields are on the disk; working threads are not waited for.
    """
    try:
        notices.show_cursor()
    finally:
        os._exit(128 + number)


@contextmanager
def _plainly() -> Iterator[None]:
    """Escape the user's words in command-line errors.

    They are shown as typed, whatever they would do to a terminal. Where the catalogue of another language knows the
    error, it is one of this program.
    """
    try:
        yield
    except MISTAKE as error:
        vars(error)["message"] = message(str(vars(error)["message"]))
        if (known := _known(error)) is None:
            raise
        raise known from error


def _known(error: Exception) -> UsageError | None:
    """Return a mistake in the command line as an error whose text can be translated.

    None in English, which the library below typer prints itself, and for texts that no catalogue has.
    """
    text = str(getattr(error, "format_message", str)())
    context = getattr(error, "ctx", None)
    if said(text) == text or context is None:
        return None
    whole = text if text.endswith((".", "?")) else f"{text}."
    more = f"`{context.command_path} --help` says more."
    return UsageError(f"{whole} {more}")


class Commands(TyperGroup):
    """Command group that handles Ctrl-C and the language.

    Each command ends at Ctrl-C with one line.
    """

    def make_context(self, info_name: str | None, args: list[str], *others: Any, **kwargs: Any) -> Any:
        """Parse the command line."""
        with _plainly():
            return super().make_context(info_name, without_language(args), *others, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            with _plainly():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            midway = notices.is_terminal  # which shows ^C
        except typer.Abort as error:
            midway = True  # in the middle of a prompt line
            if not isinstance(error.__context__, KeyboardInterrupt):
                raise
        except ImportError as error:
            # A library that is interrupted while it is loaded makes an error of its own of Ctrl-C.
            if not isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
                raise
            midway = notices.is_terminal
        # From here on working threads and processes are waited for: another Ctrl-C must not cause a traceback.
        signal.signal(signal.SIGINT, lambda number, _frame: at_once(number))
        notices.print(f"\n{_('interrupted')}" if midway else _("interrupted"))
        raise typer.Exit(INTERRUPTED)

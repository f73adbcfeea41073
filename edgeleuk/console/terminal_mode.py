"""Temporary terminal settings and signal handlers.

Each is undone on every way out.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any

Attributes = list[Any]
"""Terminal attributes as termios returns them."""
Handler = Callable[[int, FrameType | None], None] | signal.Handlers


@contextmanager
def unwound_by_signals() -> Iterator[None]:
    """Make SIGTERM, SIGHUP and SIGQUIT leave every `with` block.

    The system's default handling ends the process without doing so. Handlers that are already set stay. Does
    nothing outside the main thread, where Python cannot set handlers.
    """
    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            stack.enter_context(unless_taken(number, _leave))
        yield


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def unless_taken(number: signal.Signals, handler: Handler) -> AbstractContextManager[None]:
    """Handle a signal unless it is already handled or ignored.

    Does nothing outside the main thread.
    """
    main = threading.current_thread() is threading.main_thread()
    return handling(number, handler) if main and signal.getsignal(number) is signal.SIG_DFL else nullcontext()


@contextmanager
def handling(number: signal.Signals, handler: Handler) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def single_keys(fd: int) -> Iterator[Attributes]:
    """Deliver each key at once and without echo.

    Yields the attributes that the terminal had before, and restores them afterwards. Keys typed ahead are
    dropped on entry and on exit: they were meant for another program.
    """
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield before
    finally:
        with suppress(termios.error):  # a terminal that was closed needs nothing
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)


def terminal() -> int | None:
    """Return the terminal's file descriptor, or None.

    It is standard input, if that is a terminal.
    """
    try:
        fd = sys.stdin.fileno()
        return fd if os.isatty(fd) else None
    except (AttributeError, OSError, ValueError):  # none, closed, or not a file
        return None

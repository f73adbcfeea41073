"""The terminal and the signals around it, changed for a while and always put back."""

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
"""What termios says of a terminal."""
Handler = Callable[[int, FrameType | None], None] | signal.Handlers


@contextmanager
def unwound_by_signals() -> Iterator[None]:
    """SIGTERM, SIGHUP and SIGQUIT leave through every `with` on their way, which the system's own handling does not.

    Handlers that somebody else set stay. Does nothing outside the main thread, where Python sets no handlers.
    """
    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            stack.enter_context(unless_taken(number, _leave))
        yield


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def unless_taken(number: signal.Signals, handler: Handler) -> AbstractContextManager[None]:
    """Handles a signal that nobody handles or ignores yet, where this thread may."""
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
    """Each key at once and not echoed, and the terminal as it was afterwards. Gives what it was.

    What was typed ahead is dropped, at both ends: it was meant for another program.
    """
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield before
    finally:
        with suppress(termios.error):  # a terminal that was closed needs nothing
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)


def terminal() -> int | None:
    """The descriptor of standard input where that is a terminal."""
    try:
        fd = sys.stdin.fileno()
        return fd if os.isatty(fd) else None
    except (AttributeError, OSError, ValueError):  # none, closed, or not a file
        return None

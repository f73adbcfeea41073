"""The operator's keys: single presses from a terminal, the commands they stand for, and notes typed between frames.

Nothing here waits. Each part is asked between two frames and answers at once, so that the count goes on while
the operator thinks, types or is silent.
"""

from __future__ import annotations

import codecs
import os
import re
import select
import signal
import termios
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from enum import Enum, auto
from types import FrameType

from edgeleuk.live._terminal import (
    Attributes,
    handling,
    single_keys,
    terminal,
    unless_taken,
    unwound_by_signals,
)

ESCAPE, ENTER, BACKSPACE, ERASE_LINE, ERASE_WORD = "\x1b", "\r", "\x7f", "\x15", "\x17"
ESCAPE_S = 0.3
"""After which an escape character is the key and not the start of an arrow's sequence. Long, since a slow line may
part the two and the key ends the count; nothing waits for it."""
LONGEST_NOTE = 400
"""Characters; the rest of a runaway paste is dropped."""

_SEQUENCE = re.compile(
    r"\x1b+(\[[0-?]*[ -/]*[@-~]"  # arrows, function keys, a mouse (ECMA-48, 5.4)
    r"|O."  # the same keys in a terminal's application mode
    r"|[\]PX^_][^\x07\x1b]*(\x07|\x1b\\)"  # answers of the terminal: its colours, its name
    r"|[^\[O\]PX^_\x1b])",  # a key pressed with Alt
    re.DOTALL,
)


class Command(Enum):
    """What the operator can ask for."""

    PAUSE = auto()
    COUNT = auto()
    UNDO = auto()
    ARTEFACT = auto()
    NOTE = auto()
    FINISH = auto()
    HELP = auto()


KEYS: Mapping[str, Command] = {
    " ": Command.PAUSE,
    "p": Command.PAUSE,
    "c": Command.COUNT,
    ENTER: Command.COUNT,
    "\n": Command.COUNT,
    "u": Command.UNDO,
    "a": Command.ARTEFACT,
    "n": Command.NOTE,
    "q": Command.FINISH,
    ESCAPE: Command.FINISH,
    "\x03": Command.FINISH,
    "?": Command.HELP,
    "h": Command.HELP,
}


class Decoder:
    """Bytes of a terminal to keys: UTF-8 that may come in halves, and sequences of which none is a key here."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    @property
    def undecided(self) -> bool:
        """Whether an escape character came and nothing yet that tells what it is."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete now."""
        keys, rest = [], self._held + self._text.decode(data)
        while rest and not (rest[0] == ESCAPE and not _SEQUENCE.match(rest)):
            sequence = _SEQUENCE.match(rest)
            if not sequence:
                keys.append(rest[0])
            rest = rest[sequence.end() if sequence else 1 :]
        self._held = rest
        return keys

    def settle(self) -> list[str]:
        """Time went by: an escape character alone was the key, the start of a sequence nothing that is known."""
        held, self._held = self._held, ""
        return [ESCAPE] if held and not held.strip(ESCAPE) else []


class Keys:
    """Single keys of the terminal on standard input, not echoed. Yields none where that is no terminal.

    The terminal is given back on every way out, SIGTERM and SIGHUP among them. Ctrl-C stays a signal. Ctrl-Z suspends
    at the next `poll`, the terminal as it was before; `aside` is entered for that time, and left when the operator
    comes back, so that a view can give way. Use from the main thread.
    """

    def __init__(self, aside: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._aside = aside
        self._stack = ExitStack()
        self._fd: int | None = None
        self._before: Attributes = []
        self._decoder, self._ready = Decoder(), deque[str]()
        self._heard = 0.0
        self._suspend = False

    def __enter__(self) -> Keys:
        fd = terminal()
        if fd is None:
            return self
        with ExitStack() as stack:
            stack.enter_context(unwound_by_signals())
            stack.enter_context(unless_taken(signal.SIGTSTP, self._asked_to_suspend))
            self._before = stack.enter_context(single_keys(fd))
            self._stack = stack.pop_all()
        self._fd = fd
        return self

    def __exit__(self, *_: object) -> None:
        self._fd = None
        self._stack.close()

    def poll(self) -> str | None:
        """The next key as a character; None where there is none now."""
        if self._suspend:
            self._suspend_now()
        if self._fd is not None:
            self._read(self._fd)
        return self._ready.popleft() if self._ready else None

    def _read(self, fd: int) -> None:
        if select.select([fd], [], [], 0)[0]:
            try:
                data = os.read(fd, 4096)
            except OSError:  # the terminal is gone
                data = b""
            if not data:
                self._fd = None
            self._heard = time.monotonic()
            self._ready.extend(self._decoder.feed(data))
        elif self._decoder.undecided and time.monotonic() - self._heard > ESCAPE_S:
            self._ready.extend(self._decoder.settle())

    def _asked_to_suspend(self, _: int, __: FrameType | None) -> None:
        # Stopping here could leave a line half drawn; `poll` stops between two.
        self._suspend = True

    def _suspend_now(self) -> None:
        self._suspend = False
        if self._fd is None:
            return
        now = termios.tcgetattr(self._fd)
        with self._aside(), handling(signal.SIGTSTP, signal.SIG_DFL):
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
            os.kill(os.getpid(), signal.SIGTSTP)  # returns when the shell brings the program back
            termios.tcsetattr(self._fd, termios.TCSADRAIN, now)


class Prompt:
    """A line being typed."""

    def __init__(self) -> None:
        self.text = ""

    def feed(self, key: str) -> str | None:
        """None while it is being typed; the text once it is ended by Enter, "" where it was dropped by Escape."""
        if key in (ENTER, "\n"):
            return self.text.strip()
        if key == ESCAPE:
            return ""
        if key in (BACKSPACE, "\b"):
            self.text = self.text[:-1]
        elif key == ERASE_LINE:
            self.text = ""
        elif key == ERASE_WORD:
            self.text = re.sub(r"\S*\s*$", "", self.text)
        elif key.isprintable() and len(self.text) < LONGEST_NOTE:
            self.text += key
        return None


class Controls:
    """Keys to commands. A note is typed here, and help shown, without the count knowing."""

    def __init__(self, poll: Callable[[], str | None]) -> None:
        self._poll = poll
        self._prompt: Prompt | None = None
        self.helping = False
        """Whether the operator wants to read what the keys do."""

    @property
    def typing(self) -> str | None:
        """The note as far as it is typed; None where none is."""
        return self._prompt.text if self._prompt else None

    def commands(self) -> Iterator[Command | str]:
        """What the keys pressed since the last call ask for; a string is a note to keep."""
        while (key := self._poll()) is not None:
            if self._prompt:
                note = self._prompt.feed(key)
                if note is not None:
                    self._prompt = None
                if note:
                    yield note
            elif self.helping and key == ESCAPE:
                self.helping = False
            elif command := KEYS.get(key.lower()):
                yield from self._obey(command)

    def _obey(self, command: Command) -> Iterator[Command]:
        if command is Command.NOTE:
            self._prompt = Prompt()
        elif command is Command.HELP:
            self.helping = not self.helping
        else:
            yield command

"""Operator input: single keys, their commands, and typed notes.

Nothing here blocks. Each part is polled between two frames and answers at once, so the count goes on while
the operator thinks, types or does nothing.
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
from types import FrameType

from edgeleuk.console.terminal_mode import (
    Attributes,
    handling,
    single_keys,
    terminal,
    unless_taken,
    unwound_by_signals,
)
from edgeleuk.counting.requests import Command, NextSlide, Question, Request, asked
from edgeleuk.system.wording import option

ESCAPE, ENTER, BACKSPACE, ERASE_LINE, ERASE_WORD = "\x1b", "\r", "\x7f", "\x15", "\x17"
INTERRUPT = "\x03"
"""Ctrl-C, if a terminal sends it as a character."""
ESCAPE_S = 0.3
"""Wait before a lone escape character counts, seconds.

Before that it may be the start of an arrow key's sequence. The time is long because a slow line may separate
the two; nothing waits for it.
"""
LONGEST_NOTE = 400
"""Maximum length of a note, characters.

The rest of an oversized paste is dropped.
"""

_SEQUENCE = re.compile(
    r"\x1b+(\[[0-?]*[ -/]*[@-~]"  # arrow keys, function keys, a mouse (ECMA-48, 5.4)
    r"|O."  # the same keys in a terminal's application mode
    r"|[\]PX^_][^\x07\x1b]*(\x07|\x1b\\)"  # replies of the terminal: its colours, its name
    r"|[^\[O\]PX^_\x1b])",  # a key pressed with Alt
    re.DOTALL,
)


KEYS: Mapping[str, Command] = {
    " ": Command.PAUSE,
    "p": Command.PAUSE,
    "c": Command.COUNT,
    ENTER: Command.COUNT,
    "\n": Command.COUNT,
    "u": Command.UNDO,
    "a": Command.ARTEFACT,
    "n": Command.NOTE,
    "s": Command.NEXT_SLIDE,
    "q": Command.FINISH,
    ESCAPE: Command.FINISH,
    "?": Command.HELP,
    "h": Command.HELP,
}


HELP = (
    "p pauses and goes on, c counts now (with {manual}), u takes the last field back, a marks a white cell as an artefact,"
    " n begins a note, s begins the next slide, q ends the count."
)
"""Summary of the keys for an operator without a screen."""


class Decoder:
    """Decoder from terminal bytes to keys.

    It accepts UTF-8 characters that arrive in parts, and drops escape sequences: none of them is a key here.
    """

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    @property
    def undecided(self) -> bool:
        """Whether an escape character still awaits its meaning."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[str]:
        """Add bytes and return the keys completed so far."""
        keys, rest = [], self._held + self._text.decode(data)
        while rest and not (rest[0] == ESCAPE and not _SEQUENCE.match(rest)):
            sequence = _SEQUENCE.match(rest)
            if not sequence:
                keys.append(rest[0])
            rest = rest[sequence.end() if sequence else 1 :]
        self._held = rest
        return keys

    def flush(self) -> list[str]:
        """Resolve what is pending after ESCAPE_S.

        Lone escape characters were key presses; the start of an unfinished sequence is dropped.
        """
        held, self._held = self._held, ""
        return [] if held.strip(ESCAPE) else [ESCAPE] * len(held)


class Keys:
    """Single keys from the terminal on standard input.

    Keys are not echoed. Without a terminal there are none. The terminal is restored on every way out, SIGTERM
    and SIGHUP included. Ctrl-C stays a signal. Ctrl-Z suspends at the next `poll` with the terminal restored;
    meanwhile `aside` is entered, so that a view can give way, and it is left when the operator comes back.
    Use from the main thread.
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
        """Return the next key, or None.

        A key is one character.
        """
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
            self._ready.extend(self._decoder.flush())

    def _asked_to_suspend(self, _: int, __: FrameType | None) -> None:
        # Suspending here could leave a line half drawn; `poll` suspends between two.
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
    """Line being typed."""

    def __init__(self) -> None:
        self.text = ""
        self.dropping = False
        """Whether the next Escape drops the text."""

    def feed(self, key: str) -> str | None:
        """Process a key; return the text when complete.

        Enter completes the text. Escape drops an empty line at once, but a text only when pressed twice.

        Returns:
            None while the text is being typed, the text after Enter, "" if it was dropped.
        """
        if key == ESCAPE:
            if self.dropping or not self.text.strip():
                return ""
            self.dropping = True
            return None
        self.dropping = False
        if key in (ENTER, "\n"):
            return self.text.strip()
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
    """Translator from keys to requests.

    It handles typing of notes, confirmations and help itself; the count sees only the resulting requests.
    """

    def __init__(
        self,
        poll: Callable[[], str | None],
        question: Callable[[Command], Question | None] = asked,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare the controls.

        Args:
            poll: Returns the next key, or None.
            question: Returns the question to ask before a command, or None.
            say: Speaks to an operator without a screen; None with a screen.
        """
        self._poll, self._question, self._say = poll, question, say
        self._prompt: Prompt | None = None
        self.prompt_is_slide = False
        """Whether what is being typed is the id of the next slide, not a note."""
        self.asking: Question | None = None
        """Question that awaits an answer."""
        self.helping = False
        """Whether the operator asked for help."""

    @property
    def typing(self) -> str | None:
        """Note or slide id being typed, or None."""
        return self._prompt.text if self._prompt else None

    @property
    def dropping(self) -> bool:
        """Whether the next Escape drops the note."""
        return self._prompt is not None and self._prompt.dropping

    def requests(self) -> Iterator[Request]:
        """Yield the requests of all keys since the last call."""
        while (key := self._poll()) is not None:
            yield from self._heard(key)

    def _heard(self, key: str) -> Iterator[Request]:
        if key == INTERRUPT:
            yield Command.FINISH
        elif self.asking:
            yield from self._answered(self.asking, key)
        elif self._prompt:
            yield from self._typed(self._prompt, key)
        elif self.helping and key == ESCAPE:
            self.helping = False
        elif command := KEYS.get(key.lower()):
            yield from self._obey(command)

    def _answered(self, question: Question, key: str) -> Iterator[Request]:
        self.asking = None
        if key.lower() == "y":
            yield question.answer
        else:
            self._tell("Nothing was done; the count goes on.")

    def _typed(self, prompt: Prompt, key: str) -> Iterator[Request]:
        note = prompt.feed(key)
        what = "slide id" if self.prompt_is_slide else "note"
        if note:
            self._prompt = None
            yield NextSlide(note) if self.prompt_is_slide else note
        elif note is not None:
            self._prompt = None
            self._tell(f"No {what} was kept.")
        elif prompt.dropping:
            self._tell(f"Esc again drops the {what}, any other key goes on writing it.")

    def _obey(self, command: Command) -> Iterator[Request]:
        if command in (Command.NOTE, Command.NEXT_SLIDE):
            self._prompt, self.prompt_is_slide = Prompt(), command is Command.NEXT_SLIDE
            self._tell(
                "Type or scan the id of the next slide: Enter ends this count and begins it, Esc goes on with this one."
                if self.prompt_is_slide
                else "Type a note: Enter keeps it, Esc drops it."
            )
        elif command is Command.HELP and self._say:
            self._tell(HELP.format(manual=option("manual")))
        elif command is Command.HELP:
            self.helping = not self.helping
        elif question := self._question(command):
            self.asking = question
            self._tell(question.line)
        else:
            yield command

    def _tell(self, text: str) -> None:
        if self._say:
            self._say(text)

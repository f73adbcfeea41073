"""Keys of a real pseudo terminal, what they stand for, and that the terminal is given back."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeleuk.console.keys import ESCAPE_S, LONGEST_NOTE, Controls, Decoder, Keys, Prompt
from edgeleuk.counting.requests import END, Command, Mark, NextSlide, Question

ARROWS = [
    b"\x1b[A",
    b"\x1bOB",
    b"\x1b[1;5C",
    b"\x1b[3~",
    b"\x1b[M",
    b"\x1b\x1b[D",
    b"\x1bx",
    b"\x1b]11;rgb:0/0/0\x07",
]
WAIT_S = 10.0


# Decoding


@given(st.lists(st.sampled_from([*ARROWS, b"u", "é".encode(), b" "]), max_size=12), st.data())
def test_sequences_vanish_however_they_are_parted(parts: list[bytes], data: st.DataObject) -> None:
    """Keys come through in order, arrows and answers of the terminal do not, whatever pieces a line brings."""
    decoder, keys, rest = Decoder(), [], b"".join(parts)
    while rest:
        cut = data.draw(st.integers(1, len(rest)))
        keys += decoder.feed(rest[:cut])
        rest = rest[cut:]
    assert keys == [part.decode() for part in parts if part not in ARROWS]
    assert not decoder.undecided


def test_an_escape_character_waits_for_what_follows() -> None:
    """It is the key only where nothing follows, each time it was pressed; the start of an unknown sequence is nothing."""
    decoder = Decoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.undecided
    assert decoder.flush() == ["\x1b"]
    decoder.feed(b"\x1b\x1b")
    assert decoder.flush() == ["\x1b", "\x1b"]
    decoder.feed(b"\x1b[1;")
    assert decoder.flush() == []
    assert not decoder.undecided


# What keys stand for


def controls(*keys: str) -> Controls:
    typed = iter(keys)
    return Controls(lambda: next(typed, None))


def test_keys_are_commands() -> None:
    """Each key of the screen's last line, in either case, and nothing for the others."""
    wanted = [
        *(Command.PAUSE, Command.PAUSE, Command.COUNT, Command.COUNT, Command.UNDO, Command.ARTEFACT),
    ]
    assert list(controls(*" PC\nuax").requests()) == wanted


@pytest.mark.parametrize("key", ["q", "Q", "\x1b"])
def test_the_count_ends_only_after_a_yes(key: str) -> None:
    """A key that was hit by mistake ends nothing; any key but y goes on and does nothing else."""
    keys = controls(key)
    assert list(keys.requests()) == []
    assert keys.asking == END
    assert list(controls(key, "y").requests()) == [Command.FINISH]
    for other in ("n", "u", "\n", "\x1b", "q"):
        again = controls(key, other, "u")
        assert list(again.requests()) == [Command.UNDO]
        assert again.asking is None


@pytest.mark.parametrize("before", ["", "q", "ntext"])
def test_ctrl_c_as_a_character_ends_at_once(before: str) -> None:
    """Whatever is asked or typed."""
    assert list(controls(*before, "\x03").requests()) == [Command.FINISH]


def test_a_question_names_what_its_yes_does() -> None:
    """The count gives it: y does what was named when the key was pressed, not what came since."""
    cells = [17, 18]
    keys = iter("aya")
    asking = Controls(
        lambda: next(keys, None),
        lambda _: Question(f"Mark cell {cells[0]}?", "marks it", "leaves it", Mark(cells.pop(0))),
    )
    assert list(asking.requests()) == [Mark(17)]
    assert asking.asking is not None
    assert asking.asking.line == "Mark cell 18? y marks it, any other key leaves it."


def test_an_operator_without_a_screen_is_told() -> None:
    """The question, what became of it, how a note is kept and dropped, and what the keys do."""
    said: list[str] = []
    keys = iter(["q", "n", "n", "a", "\x1b", "\x1b", "?"])
    blind = Controls(lambda: next(keys, None), say=said.append)
    assert list(blind.requests()) == []
    assert [text.split()[0] for text in said] == ["End", "Nothing", "Type", "Esc", "No", "p"]
    assert not blind.helping


def test_a_note_is_typed_without_becoming_commands() -> None:
    """Its letters are text until Enter; then it is handed over and keys are commands again."""
    keys = controls("n", *"quiet café", "\x7f", "é", "\n", "u")
    assert list(keys.requests()) == ["quiet café", Command.UNDO]
    assert keys.typing is None


def test_the_id_of_the_next_slide_is_typed_or_scanned() -> None:
    """s, then what a barcode reader types, Enter with it; what is typed is shown as an id."""
    keys = iter("sS-17")
    controls = Controls(lambda: next(keys, None))
    assert list(controls.requests()) == []
    assert (controls.typing, controls.prompt_is_slide) == ("S-17", True)
    keys = iter("\rnx\r")
    assert list(controls.requests()) == [NextSlide("S-17"), "x"]
    assert not controls.prompt_is_slide


@pytest.mark.parametrize("typed", ["text\x1b\x1b", "  \n", "\x1b", "  \x1b", "ab\x7f\x7f\x1b"])
def test_a_note_that_is_dropped_or_empty_is_none(typed: str) -> None:
    """Escape twice drops what was typed, once an empty line, and neither ends the count; Enter on blanks keeps nothing."""
    keys = controls("n", *typed)
    assert list(keys.requests()) == []
    assert (keys.typing, keys.asking) == (None, None)


def test_one_escape_drops_no_text() -> None:
    """It is said that another one would; any other key goes on writing."""
    keys = controls("n", *"tex", "\x1b")
    assert list(keys.requests()) == []
    assert (keys.typing, keys.dropping) == ("tex", True)
    again = controls("n", *"tex", "\x1b", "t", "\x1b", "\n")
    assert list(again.requests()) == ["text"]


def test_what_is_typed_can_be_shown() -> None:
    """Between two calls the text so far is there for the view."""
    keys = controls("n", "a", "b")
    assert list(keys.requests()) == []
    assert keys.typing == "ab"


def test_help_is_shown_and_closed() -> None:
    """It is no command of the count; Escape closes it instead of finishing."""
    keys = controls("?", "\x1b")
    assert list(keys.requests()) == []
    assert not keys.helping
    assert list((shown := controls("?")).requests()) == []
    assert shown.helping


def test_a_prompt_edits() -> None:
    """Backspace takes a letter, Ctrl-W a word, Ctrl-U all; control characters are no text."""
    prompt = Prompt()
    for key in "one two threx\x7fe\x17\x07":
        assert prompt.feed(key) is None
    assert prompt.text == "one two "
    prompt.feed("\x15")
    assert prompt.text == ""


def test_a_prompt_has_a_longest_text() -> None:
    """A runaway paste ends."""
    prompt = Prompt()
    for _ in range(LONGEST_NOTE + 50):
        prompt.feed("x")
    assert prompt.feed("\n") == "x" * LONGEST_NOTE


# A terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """The two ends of a pseudo terminal, the second one standard input."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "rb", closefd=False) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield ours, theirs
    os.close(ours)
    os.close(theirs)


def polled(keys: Keys, number: int) -> list[str]:
    found: list[str] = []
    end = time.monotonic() + WAIT_S
    while len(found) < number and time.monotonic() < end:
        if key := keys.poll():
            found.append(key)
    return found


def test_keys_come_one_by_one_and_not_echoed(terminal: tuple[int, int]) -> None:
    """Without Enter, arrows swallowed; afterwards the terminal is as before."""
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    with Keys() as keys:
        assert keys.poll() is None
        os.write(ours, b"c\x1b[Aq")
        assert polled(keys, 2) == ["c", "q"]
        assert not termios.tcgetattr(theirs)[3] & (termios.ECHO | termios.ICANON)
    assert termios.tcgetattr(theirs) == before


def test_escape_alone_is_a_key_after_a_while(terminal: tuple[int, int]) -> None:
    """No poll waits for it."""
    with Keys() as keys:
        os.write(terminal[0], b"\x1b")
        began = time.monotonic()
        assert polled(keys, 1) == ["\x1b"]
        assert time.monotonic() - began >= ESCAPE_S


def test_the_terminal_is_given_back_after_an_error(terminal: tuple[int, int]) -> None:
    """An exception leaves no terminal without echo."""
    before = termios.tcgetattr(terminal[1])
    with pytest.raises(RuntimeError, match="of the count"), Keys():
        raise RuntimeError("of the count")
    assert termios.tcgetattr(terminal[1]) == before


@pytest.mark.usefixtures("terminal")
def test_signals_are_left_as_they_were() -> None:
    """Every handler is back afterwards."""
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    with Keys():
        pass
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_terminal_that_goes_away_gives_no_keys(terminal: tuple[int, int]) -> None:
    """The connection broke: no key, no error."""
    with Keys() as keys:
        os.close(terminal[0])
        assert keys.poll() is None
        assert keys.poll() is None
        os.dup2(os.open(os.devnull, os.O_RDONLY), terminal[0])


def test_without_a_terminal_there_are_no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pipe, a file or nothing at all as standard input: nothing is read, nothing is changed."""
    (tmp_path / "in").write_text("q")
    with (tmp_path / "in").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with Keys() as keys:
            assert keys.poll() is None
        assert stdin.read() == "q"
    monkeypatch.setattr(sys, "stdin", None)
    with Keys() as keys:
        assert keys.poll() is None


# Whole processes

CHILD = """
import time
from contextlib import contextmanager
from edgeleuk.console.keys import Keys

@contextmanager
def aside():
    print("<aside>", flush=True)
    yield
    print("<back>", flush=True)

with Keys(aside) as keys:
    print("<ready>", flush=True)
    while True:
        if key := keys.poll():
            print(f"<{key}>", flush=True)
        time.sleep(0.01)
"""
SHELL = """
import fcntl, os, signal, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
for each in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):  # in the background the tests inherit that they are ignored
    signal.signal(each, signal.SIG_DFL)
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], process_group=0, restore_signals=True)
os.tcsetpgrp(0, child.pid)
while True:
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    mode = "cooked" if termios.tcgetattr(0)[3] & termios.ICANON else "raw"
    if not os.WIFSTOPPED(status):
        break
    os.write(1, f"<stopped {mode}>".encode())
    os.kill(child.pid, signal.SIGCONT)
os.write(1, f"<ended {mode} {os.waitstatus_to_exitcode(status)}>".encode())
os.read(0, 1)
"""


class Shell:
    """A child with keys under a minimal shell, on a terminal of its own."""

    def __init__(self) -> None:
        self.terminal, theirs = os.openpty()
        command = [sys.executable, "-c", SHELL, CHILD]
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        os.set_blocking(self.terminal, False)
        self.seen = ""

    def until(self, text: str) -> str:
        """Everything printed so far, once `text` is in it."""
        end = time.monotonic() + WAIT_S
        while text not in self.seen and time.monotonic() < end:
            try:
                self.seen += os.read(self.terminal, 4096).decode()
            except BlockingIOError:
                time.sleep(0.01)
        assert text in self.seen
        return self.seen

    def send(self, data: bytes) -> None:
        os.write(self.terminal, data)

    def kill(self, number: signal.Signals) -> None:
        """To the child, which leads the terminal's foreground group."""
        group = fcntl.ioctl(self.terminal, termios.TIOCGPGRP, bytes(4))
        os.kill(int.from_bytes(group, sys.byteorder), number)


@pytest.fixture
def shell() -> Iterator[Shell]:
    started = Shell()
    started.until("<ready>")
    yield started
    os.close(started.terminal)
    started.process.kill()
    started.process.wait()


def test_ctrl_z_suspends_and_comes_back(shell: Shell) -> None:
    """The shell gets its terminal cooked and the view gives way; afterwards keys come one by one again."""
    shell.send(b"\x1a")
    assert "<aside>" in shell.until("<stopped cooked>")
    shell.until("<back>")
    shell.send(b"u")
    shell.until("<u>")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals_that_end_the_program_give_the_terminal_back(shell: Shell, number: signal.Signals) -> None:
    """As a service manager or a closed window sends them."""
    shell.kill(number)
    shell.until(f"<ended cooked {128 + number}>")


def test_ctrl_c_stays_a_signal(shell: Shell) -> None:
    """It interrupts, and the terminal is given back."""
    shell.send(b"\x03")
    shell.until("<ended cooked -2>")

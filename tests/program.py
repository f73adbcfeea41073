"""The program as a user starts it: in this process, which is quick, or in one of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from edgeleuk import cli
from edgeleuk.cli import _console
from edgeleuk.system import machine

Run = subprocess.CompletedProcess[str]
PLAIN = {"COLUMNS": "80", "NO_COLOR": "1"}


def run(
    *arguments: object,
    cwd: Path | None = None,
    stdin: int | None = None,
    encoding: str = "utf-8",
    **environment: str,
) -> Run:
    """The program in this process, at 80 columns, without a terminal: what it prints, and its exit code.

    A start of its own takes half a second of processor time. Use `processed` for what only a process of its own has.
    `stdin` is a file descriptor; without one there is nothing to read. `encoding` is that of what is printed.
    """
    words = ["edgeleuk", *map(str, arguments)]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2))
    with (
        pytest.MonkeyPatch.context() as patch,
        os.fdopen(os.dup(stdin)) if stdin is not None else Path(os.devnull).open() as answers,
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", words)
        patch.setattr(sys, "stdin", answers)
        # As at the start of a process: where the tests run on a terminal, it was made for that one.
        patch.setattr(_console.notices, "soft_wrap", True)
        for name, value in (PLAIN | environment).items():
            patch.setenv(name, value)
        if cwd:
            patch.chdir(cwd)
        _forget()
        code: object = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
    _forget()
    assert code is None or isinstance(code, int), code
    return Run(words, code or 0, _text(out), _text(err))


def processed(*arguments: object, cwd: Path | None = None, **environment: str) -> Run:
    """The program in a process of its own, as `run` otherwise."""
    command = [sys.executable, "-m", "edgeleuk", *map(str, arguments)]
    env = os.environ | PLAIN | environment
    return subprocess.run(
        command, capture_output=True, text=True, env=env, cwd=cwd, stdin=subprocess.DEVNULL, check=False
    )


def _forget() -> None:
    """Read again what is read once from variables: the time zone, the setting of this machine."""
    time.tzset()
    machine.setting_here.cache_clear()


def _text(stream: io.TextIOWrapper) -> str:
    """What was written, its ends of lines as `subprocess` gives them."""
    stream.flush()
    stream.buffer.seek(0)
    return io.TextIOWrapper(stream.buffer, stream.encoding).read()

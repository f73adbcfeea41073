"""Console output: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from rich.text import Text

from edgeleuk._text import escaped, readable
from edgeleuk.errors import EdgeleukError, OutputError, QualityError
from edgeleuk.render.rich_console import PlainConsole
from edgeleuk.system import file_io, private_files, user_paths
from edgeleuk.system.addresses import without_secrets
from edgeleuk.system.language import _
from edgeleuk.system.sentences import guarded, said

notices = PlainConsole(stderr=True, soft_wrap=not sys.stderr.isatty())
"""Console for notices on stderr.

It breaks lines between words on a terminal; in a log or a pipe a notice is one line.
"""


def results() -> PlainConsole:
    """Return the console for results, plain without a terminal."""
    return PlainConsole()


class Told(logging.Formatter):
    """Writes a warning of the log in the language in use."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(said(super().format(record)))


def tell(text: str) -> None:
    """Print one line on stderr, with quoted names escaped."""
    notices.print(escaped(said(text)))


def warn(text: str) -> None:
    notices.print(Text.assemble((_("warning: "), "yellow"), escaped(said(without_secrets(text)))))


def report(error: EdgeleukError) -> None:
    """Print one line for an error, without exiting."""
    text = without_secrets(str(error))
    shown = guarded(text) if isinstance(error, QualityError) else said(text)
    notices.print(Text.assemble((_("error: "), "red"), shown))


def fail(error: EdgeleukError) -> NoReturn:
    """Print one line for an error, and exit with its code."""
    report(error)
    sys.exit(error.exit_code)


@contextmanager
def progress_bar(
    text: str | Callable[[], str], *, shown: bool = True
) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on a terminal's stderr, else nothing.

    Yields a function that takes the number done and the total. `text` stands before the bar, or what it returns at the
    time.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TimeRemainingColumn,
    )

    class Words(ProgressColumn):
        def render(self, task: Task) -> Text:  # noqa: ARG002  # there is only one task
            return Text(said(text if isinstance(text, str) else text()))

    columns = (Words(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not (shown and notices.is_terminal)
    with Progress(*columns, console=notices, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


LEVELS = 4
"""Levels of a JSON document that are broken into lines.

The cells of an image then have a line each.
"""


def json_text(document: Any) -> str:
    """Return readable JSON text that ends with a line break.

    Broken into lines throughout, as Python does it, a slide of 50,000 cells would have a million lines and take 2 s.

    Raises:
        ValueError: The document contains NaN.
    """
    return "".join(_json_parts(document, 0)) + "\n"


def _json_parts(value: Any, depth: int) -> Iterator[str]:
    if depth == LEVELS or not value or not isinstance(value, dict | list | tuple):
        yield json.dumps(value, allow_nan=False)
        return
    margin, ends = "\n" + "  " * depth, "{}" if isinstance(value, dict) else "[]"
    for number, each in enumerate(value):
        yield f"{',' if number else ends[0]}{margin}  "
        if isinstance(value, dict):
            yield f"{json.dumps(str(each))}: "
        yield from _json_parts(value[each] if isinstance(value, dict) else each, depth + 1)
    yield margin + ends[1]


def print_json(document: Any) -> None:
    sys.stdout.write(json_text(document))


def print_csv(table: str) -> None:
    """Print a CSV table.

    A terminal gets its own encoding; a pipe or a file gets UTF-8, which a program can rely on.
    """
    if sys.stdout.isatty():
        sys.stdout.write(table)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(readable(table).encode())
    sys.stdout.buffer.flush()


def writable_folder(folder: Path, *, private: bool = False) -> Path:
    """Create a writable folder for results.

    It is called before hours of work, not after them.

    Args:
        folder: Folder to create, with its parents.
        private: Give a new folder to this user alone, whatever the umask.

    Raises:
        OutputError: The folder cannot be created or written.
    """
    folder = user_paths.expanded(folder, "--out", OutputError)
    try:
        if private:
            private_files.make_folder(folder)
        else:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror}. Give another --out."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write into {folder}. Change its permissions or give another --out.")
    return folder


def write(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Write a file atomically: all of it or nothing.

    A full disk or a power cut leaves the old file.

    Args:
        path: File to write.
        content: Bytes, or text that is encoded as UTF-8.
        mode: Permissions, whatever the umask; None for those of any new file.

    Raises:
        OutputError: The file cannot be written.
    """
    path = user_paths.expanded(path, "the command line", OutputError)
    try:
        file_io.write_whole(path, readable(content).encode() if isinstance(content, str) else content, mode)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}. Free some space, or name another place."
        ) from error

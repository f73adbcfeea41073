"""Unexpected faults: errors with a reference, and a log file.

The reference is for support, and the details go to a file of the user's. A decoder, a network or the slide
map may raise anything on one picture. It costs that picture and not the others.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from edgeleuk import __version__
from edgeleuk._text import message
from edgeleuk.errors import EdgeleukError, UnforeseenError
from edgeleuk.system.user_paths import users

PACKAGE = "edgeleuk"
MOST_BYTES = 200_000
"""Maximum size of the log file, bytes.

A new file is then begun, and the older half is kept beside it as faults.log.old.
"""
CAUSES = 4
"""Maximum number of chained exceptions that are logged."""
SAID = "  message: "
"""Prefix of log lines with an exception's message.

A message may quote a file's name. Support archives leave these lines out.
"""

_written: set[str] = set()
_lock = Lock()


def to_user_error(error: Exception, name: str = "", doing: str = "analysed") -> EdgeleukError:
    """Return the error for the user.

    It stands for any exception; an EdgeleukError is returned unchanged.

    Args:
        error: The exception.
        name: Picture or file that could not be processed; empty for the whole command.
        doing: What could not be done with it, as a participle.
    """
    if isinstance(error, EdgeleukError):
        return error
    code = reference(error)
    _note(error, code)
    what = f"{name} could not be {doing}" if name else "this command could not be carried out"
    if isinstance(error, MemoryError):
        text = f"{what}: too little memory is free. Close other programs and try again. Reference for support: {code}."
    else:
        text = f"{what} because of a fault in the program. Please report it, with this reference: {code}."
    found = UnforeseenError(text)
    found.__cause__ = error
    return found


def reference(error: BaseException) -> str:
    """Return a fault's reference for support.

    It tells the fault from others: the exception, and the last place in this program that it passed.
    """
    places = [(module, line) for module, line, _ in _frames(error) if module.split(".")[0] == PACKAGE]
    kind = type(error).__name__
    if not places:
        return kind
    module, line = places[-1]
    return f"{kind}-{module.split('.')[-1].strip('_')}-{line}"


def log_path() -> Path:
    """Return the path of the fault log.

    It is the file that EDGELEUK_FAULTS names, else faults.log in the user's state folder.

    Raises:
        EdgeleukError: The user has no home folder.
    """
    return users("faults.log", "state", "EDGELEUK_FAULTS", EdgeleukError("there is no home folder."))


def log_without_messages() -> str:
    """Return the fault log without exception messages.

    Messages may quote names.
    """
    try:
        text = log_path().read_text(encoding="utf-8", errors="replace")
    except (OSError, EdgeleukError):
        return ""
    return "".join(f"{line}\n" for line in text.splitlines() if not line.startswith(SAID))


def _note(error: Exception, code: str) -> None:
    """Log a fault once per process.

    Never fails: a full disk must not cost another picture.
    """
    with _lock:
        if code in _written:
            return
        _written.add(code)
    with suppress(Exception):
        path = log_path()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):
            if path.stat().st_size > MOST_BYTES:
                path.replace(path.with_name(f"{path.name}.old"))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "a", encoding="utf-8") as file:  # noqa: PTH123  # a descriptor
            file.write("".join(f"{line}\n" for line in _lines(error, code)))


def _lines(error: BaseException, code: str) -> Iterator[str]:
    """Yield the log lines of a fault and its causes.

    They have modules, lines and functions, but no path, because a path names its user.
    """
    yield f"{datetime.now(UTC).isoformat(timespec='seconds')} {code} edgeleuk {__version__}"
    each: BaseException | None = error
    for _ in range(CAUSES):
        if each is None:
            return
        yield f"  {type(each).__module__}.{type(each).__name__}"
        yield f"{SAID}{message(str(each))}"
        for module, line, function in _frames(each):
            yield f"    {module}:{line} {function}"
        each = each.__cause__ or each.__context__


def _frames(error: BaseException) -> Iterator[tuple[str, int, str]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield frame.f_globals.get("__name__", "?"), line, frame.f_code.co_name

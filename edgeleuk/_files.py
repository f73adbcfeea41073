"""Read files of others within limits, and write files whole.

The one place that parses TOML and JSON from a file. What is no regular file is never opened: a pipe would wait for ever,
and a device has no end. Faults of the disk and of the size are OSErrors, those of the content UnreadableErrors; both say
in a clause what is wrong, and callers say which file it is and what to do.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import stat
import tomllib
from collections import Counter
from collections.abc import Mapping
from math import isfinite, log10
from pathlib import Path
from typing import Any, NoReturn

JSON_BYTES = 4_000_000
"""Largest manifest, note or report; the largest model.json that ships has 120,000 bytes."""
TABLE_BYTES = 100_000_000
"""Largest table of labelled data. Parsed it takes ten times as much memory; COCO files of 15,000 cells have 6 MB."""
TOML_BYTES = 250_000
"""Largest file of settings; the largest that ships has 11,000 bytes."""
MOST_DEPTH = 64
"""Of brackets in brackets. Nothing that this program reads has more than ten levels."""
MOST_DOTS = 400
"""In one line of TOML. The time that Python takes for a key grows with the square of its parts."""
LARGEST_INTEGER = 2**63 - 1
"""What TOML promises, and numpy takes."""
_LONG = 24
"""Letters of a number in a message."""
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class UnreadableError(ValueError):
    """The content of a file is not what its kind promises; `str` is a clause."""


def kind_of(mode: int) -> str:
    """What a file of this mode is, where it is no regular file; empty for one."""
    if stat.S_ISREG(mode):
        return ""
    return "a folder" if stat.S_ISDIR(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def is_regular(path: Path) -> bool:
    """Whether a file is there that can be read like one; links are followed. Never raises."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # a name that is too long, a loop of links, a zero byte
        return False


def is_absent(path: Path) -> bool:
    """Whether nothing of this name is there. Never raises: what cannot be looked at is no such case."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there; links are followed. Never raises."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def listed(folder: Path, pattern: str) -> list[Path]:
    """What is in a folder and fits a pattern, by name; nothing where it cannot be looked into."""
    try:
        return sorted(folder.glob(pattern))
    except (OSError, ValueError):
        return []


def require_regular(path: Path) -> os.stat_result:
    """Raise OSError unless a regular file is there, without opening it."""
    try:
        about = path.stat()
    except ValueError as error:  # a name with a byte that no name has
        raise FileNotFoundError(errno.ENOENT, "its name is none") from error
    if kind := kind_of(about.st_mode):
        raise _refused(path, kind)
    return about


def read_bytes(path: Path, most: int = JSON_BYTES) -> bytes:
    """A regular file of at most `most` bytes. Raises OSError."""
    with os.fdopen(_open(path, most), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:  # it grew, or is one of those of /proc, which have no size
        raise _too_large(path, len(content), most)
    return content


def sha256_of(path: Path, most: int) -> str:
    """SHA-256 of a regular file of at most `most` bytes, which is not held in memory. Raises OSError."""
    with os.fdopen(_open(path, most), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path, most: int = JSON_BYTES) -> str:
    """A regular file in UTF-8, also with the mark that some editors put at its beginning. Raises OSError, UnreadableError."""
    return _text(read_bytes(path, most))


def read_json(path: Path, most: int = JSON_BYTES) -> Any:
    """The document in a file of JSON. Raises OSError, UnreadableError."""
    return parse_json(read_bytes(path, most))


def parse_json(content: bytes | str) -> Any:
    """A document of JSON, in which no key stands twice, no number is NaN or endless, and nothing is nested too deep.

    Raises UnreadableError.
    """
    text = content if isinstance(content, str) else _text(content)
    try:
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError as error:
        raise UnreadableError(_too_deep()) from error
    except UnreadableError:
        raise
    except ValueError as error:
        raise UnreadableError(f"it is no JSON file: {_cut(error)}") from error
    _check(document, endless=False)
    return document


def read_toml(path: Path) -> dict[str, Any]:
    """The document in a file of TOML. Raises OSError, UnreadableError."""
    return parse_toml(read_bytes(path, TOML_BYTES))


def parse_toml(content: bytes) -> dict[str, Any]:
    """A document of TOML that is not nested too deep. Raises UnreadableError."""
    text = _text(content)
    if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
        raise UnreadableError(f"a line of it has more than {MOST_DOTS} dots")
    try:
        document = tomllib.loads(text)
    except RecursionError as error:
        raise UnreadableError(_too_deep()) from error
    except ValueError as error:  # TOMLDecodeError; a number of more than 4,300 digits
        raise UnreadableError(f"it is no TOML file: {_cut(error)}") from error
    _check(document, endless=True)
    return document


def write_whole(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file whole or not at all, and put it on the disk. Raises OSError; the old file is then as it was.

    `mode`: permissions, whatever the umask; without it those of any new file. The temporary file beside it is always a
    new one: a link that somebody put there is not followed.
    """
    if (there := _mode(path)) and (kind := kind_of(there)):
        raise _refused(path, kind)
    partial = path.with_name(f".{secrets.token_hex(4)}.partial")
    descriptor = os.open(
        partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else mode
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def plain(error: Exception) -> str:
    """What is wrong, of an error that these functions raise, as a clause without the path."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _open(path: Path, most: int) -> int:
    """A descriptor of a regular file, looked at before and after: what it names may change in between."""
    about = require_regular(path)
    if about.st_size > most:
        raise _too_large(path, about.st_size, most)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if kind := kind_of(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _refused(path, kind)
    return descriptor


def _mode(path: Path) -> int | None:
    """None where nothing is there; OSError where that cannot be told, as of a link in a ring."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _refused(path: Path, kind: str) -> OSError:
    return OSError(errno.EINVAL, f"it is {kind}, no file", str(path))


def _too_large(path: Path, size: int, most: int) -> OSError:
    return OSError(errno.EFBIG, f"it has {_mb(size)}, and at most {_mb(most)} are read", str(path))


def _mb(size: int) -> str:
    return f"{size / 1e6:.3g} MB"


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"it is no text in UTF-8 (byte {error.start + 1}); save it as UTF-8") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise UnreadableError(f"it names {twice[:60]!r} twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise UnreadableError(f"it holds {name}, which is no number in JSON")


def _check(document: Any, *, endless: bool) -> None:
    """Level by level, so that no depth of it can exhaust the stack. `endless`: whether it may hold infinity, as TOML may."""
    level = [document]
    for _ in range(MOST_DEPTH):
        for each in level:
            if type(each) is int and abs(each) > LARGEST_INTEGER:
                raise UnreadableError(f"it holds a number of {round(each.bit_length() * log10(2))} digits")
            if not endless and type(each) is float and not isfinite(each):
                raise UnreadableError("it holds a number that is too large")
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise UnreadableError(_too_deep())


def _inside(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [*value.values()]
    return value if isinstance(value, list) else []


def _too_deep() -> str:
    return f"it is nested more than {MOST_DEPTH} levels deep"


def _cut(error: Exception) -> str:
    """An error of a parser, without a number or a text that has no end."""
    if "int_max_str_digits" in str(error):  # Python's advice is for programmers
        return "a number of it has more than 4300 digits"
    return re.sub(rf"(\S{{{_LONG}}})\S+", r"\1...", str(error).splitlines()[0])[:200]

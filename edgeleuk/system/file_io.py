"""Size-limited file reading and atomic file writing.

The only module that parses TOML and JSON from a file. Only regular files are opened: a pipe would block for
ever, and a device has no end. Faults of the disk and of the size are OSErrors, those of the content
UnreadableErrors. Both state in a clause what is wrong; callers add which file it is and what to do.
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
from collections.abc import Iterable, Mapping
from math import isfinite, log10
from pathlib import Path
from typing import Any, NoReturn

JSON_BYTES = 4_000_000
"""Maximum size of a manifest, note or report, bytes.

The largest model.json that ships has 120,000 bytes.
"""
TABLE_BYTES = 100_000_000
"""Maximum size of a table of labelled data, bytes.

Parsed it takes ten times as much memory. COCO files of 15,000 cells have 6 MB.
"""
TOML_BYTES = 250_000
"""Maximum size of a settings file, bytes.

The largest that ships has 11,000 bytes.
"""
MOST_DEPTH = 64
"""Maximum nesting depth of a document.

Nothing that this program reads has more than ten levels.
"""
MOST_DOTS = 400
"""Maximum number of dots in one line of TOML.

The time that Python takes to parse a key grows with the square of its parts.
"""
LARGEST_INTEGER = 2**63 - 1
"""Largest integer that TOML guarantees and numpy accepts."""
_LONG = 24
"""Maximum characters of a number in a message."""
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class UnreadableError(ValueError):
    """Invalid file content.

    `str` of it is a clause.
    """


def kind_of(mode: int) -> str:
    """Name the kind of a non-regular file.

    Returns an empty string for a regular file.
    """
    if stat.S_ISREG(mode):
        return ""
    return "a folder" if stat.S_ISDIR(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def is_regular(path: Path) -> bool:
    """Return whether a regular file exists at `path`.

    Follows links. Never raises.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # name too long, loop of links, null byte
        return False


def is_absent(path: Path) -> bool:
    """Return whether nothing exists at `path`.

    Never raises: a path that cannot be examined does not count as absent.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def is_folder(path: Path) -> bool:
    """Return whether a folder exists at `path`.

    Follows links. Never raises.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def listed(folder: Path, pattern: str) -> list[Path]:
    """List files in a folder that match a pattern, sorted.

    Returns an empty list where the folder cannot be read.
    """
    try:
        return sorted(folder.glob(pattern))
    except (OSError, ValueError):
        return []


def require_regular(path: Path) -> os.stat_result:
    """Check that a regular file exists, without opening it.

    Raises:
        OSError: There is none.
    """
    try:
        about = path.stat()
    except ValueError as error:  # null byte in the name
        raise FileNotFoundError(errno.ENOENT, "its name is none") from error
    if kind := kind_of(about.st_mode):
        raise _refused(path, kind)
    return about


def read_bytes(path: Path, most: int = JSON_BYTES) -> bytes:
    """Read a regular file of at most `most` bytes.

    Raises:
        OSError: It cannot be read, or is larger.
    """
    with os.fdopen(_open(path, most), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:  # it grew, or is in /proc, where files report no size
        raise _too_large(path, len(content), most)
    return content


def sha256_of(path: Path, most: int) -> str:
    """Return the SHA-256 of a regular file.

    The file is not held in memory.

    Raises:
        OSError: It cannot be read, or is larger than `most` bytes.
    """
    with os.fdopen(_open(path, most), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path, most: int = JSON_BYTES) -> str:
    """Read a regular UTF-8 file, with or without BOM.

    Raises:
        OSError: It cannot be read, or is larger than `most` bytes.
        UnreadableError: It is not UTF-8.
    """
    return _text(read_bytes(path, most))


def read_json(path: Path, most: int = JSON_BYTES) -> Any:
    """Read a JSON file.

    Raises:
        OSError: It cannot be read, or is larger than `most` bytes.
        UnreadableError: It is malformed, see `parse_json`.
    """
    return parse_json(read_bytes(path, most))


def parse_json(content: bytes | str) -> Any:
    """Parse JSON strictly.

    Duplicate keys, NaN, infinite numbers and nesting deeper than MOST_DEPTH are refused.

    Raises:
        UnreadableError: The document is malformed.
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
    """Read a TOML file.

    Raises:
        OSError: It cannot be read, or is larger than TOML_BYTES.
        UnreadableError: It is malformed, see `parse_toml`.
    """
    return parse_toml(read_bytes(path, TOML_BYTES))


def parse_toml(content: bytes) -> dict[str, Any]:
    """Parse TOML with limited nesting depth.

    Raises:
        UnreadableError: The document is malformed, or nested too deep.
    """
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


def write_whole(
    path: Path, content: bytes | Iterable[bytes], mode: int | None = None, partial: Path | None = None
) -> None:
    """Write a file atomically and flush it to disk.

    The temporary file beside it is always a new one: a link that somebody put there is not followed.

    Args:
        path: Target; replaced only once the content is on the disk.
        content: Bytes to write, or parts of a file too large to be held in memory.
        mode: Permissions, whatever the umask; None for those of any new file.
        partial: Temporary file on the same disk; None for a hidden one beside `path`.

    Raises:
        OSError: It cannot be written; the old file is unchanged.
    """
    if (there := _mode(path)) and (kind := kind_of(there)):
        raise _refused(path, kind)
    partial = partial or path.with_name(f".{secrets.token_hex(4)}.partial")
    descriptor = os.open(
        partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else mode
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_new(path: Path, content: bytes) -> None:
    """Write a new file and flush it to disk.

    The file must not exist yet.
    """
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def plain(error: Exception) -> str:
    """Describe an error of this module without the path."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _open(path: Path, most: int) -> int:
    """Open a regular file and return its descriptor.

    It is checked before and after opening: what the path names may change in between.
    """
    about = require_regular(path)
    if about.st_size > most:
        raise _too_large(path, about.st_size, most)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if kind := kind_of(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _refused(path, kind)
    return descriptor


def _mode(path: Path) -> int | None:
    """Return the mode of a path; None where nothing exists.

    Raises OSError where that cannot be determined, as for a loop of links.
    """
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
    """Refuse numbers that are too large and too deep nesting.

    Goes level by level, so that no depth of the document can exhaust the stack. `endless`: whether infinity
    is allowed, as in TOML.
    """
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
    """Shorten a parser's message, including long numbers and texts."""
    if "int_max_str_digits" in str(error):  # Python's own message advises programmers
        return "a number of it has more than 4300 digits"
    return re.sub(rf"(\S{{{_LONG}}})\S+", r"\1...", str(error).splitlines()[0])[:200]

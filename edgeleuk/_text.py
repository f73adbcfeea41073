"""Sanitising of external text.

External are names of files, messages of servers and libraries, and user input. Such a text may hold bytes
that are not UTF-8, line breaks, terminal escape sequences, characters that change the writing direction, and
spreadsheet formulas. `escaped` is for people (terminals, logs, tables), `cell_text` for CSV, and `file_name`
for names of files. JSON needs none of them: it holds each text exactly.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable

JOINERS = "\u200c\u200d"
"""Zero-width joiners, which are harmless.

They stand between letters of Persian, of Indian languages and of emoji.
"""
STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of control characters.

They control a terminal or the writing direction, or break lines.
"""
LONGEST = 2000
"""Maximum characters of a message for people.

A server, or a settings file, may put a megabyte into one.
"""
FORMULA = re.compile(r"(^|;)(\s*)(?=[=+\-@\uff0b\uff0d\uff1d\uff20])")
"""Places where a spreadsheet formula can begin.

At the start of a cell, or after a semicolon where that divides cells.
"""
UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*]')
"""Characters not allowed in file names.

File systems of Linux, Windows or memory cards refuse them.
"""
MOST_BYTES = 140
"""Maximum length of a file name, bytes.

Most file systems allow 255, encrypted ones 143.
"""


def readable(text: str) -> str:
    r"""Return a text that UTF-8 can encode.

    A byte that is not text appears as \xff. Python keeps such a byte as half of a surrogate pair, which opens
    the file again and cannot be encoded. In a locale without an encoding, as C, it keeps every character
    beyond ASCII so.
    """
    if text.isascii():
        return text
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair that stands for no byte, possible in JSON
        raw = text.encode("utf-8", "surrogatepass")
    return raw.decode("utf-8", "backslashreplace")


def tamed(text: str, most: int = 100) -> str:
    """Return a text as one short line without control characters.

    It has at most `most` characters.
    """
    plain = "".join(char if char.isprintable() else " " for char in readable(text))
    short = " ".join(plain.split())
    return short if len(short) <= most else f"{short[: most - 3]}..."


def escaped(text: str, *, keep: str = "") -> str:
    r"""Escape control characters, as Python does.

    Examples: \n, \x1b, \u202e. `keep`: characters left as they are, such as the line breaks of a table.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if each in keep else _escaped(each) for each in readable(text))


def _escaped(letter: str) -> str:
    steers = unicodedata.category(letter) in STEERING and letter not in JOINERS
    return letter.encode("unicode_escape").decode() if steers else letter


def message(text: str) -> str:
    """Return a one-line message of bounded length."""
    return escaped(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")


def cell_text(text: str) -> str:
    """Return text that is safe in a CSV cell.

    A quotation mark stands before what a spreadsheet would calculate, as
    https://owasp.org/www-community/attacks/CSV_Injection advises.
    """
    return FORMULA.sub(r"\1\2'", escaped(text))


def file_name(stem: str, suffix: str, taken: Callable[[str], bool]) -> str:
    """Build a file name that any file system accepts.

    A number before the suffix tells it from names already taken.

    Args:
        stem: Stem of another file's name.
        suffix: Suffix with its dot.
        taken: Returns whether a name is in use.
    """
    plain = unicodedata.normalize("NFC", UNSAFE.sub("_", escaped(stem)))
    plain = re.sub(r"^[\s.\-]+", "_", plain).rstrip(" .") or "_"
    number = 1
    while True:
        end = suffix if number == 1 else f"-{number}{suffix}"
        name = f"{_cut(plain, MOST_BYTES - len(end.encode()))}{end}"
        if not taken(name):
            return os.fsdecode(name.encode())  # in a locale without an encoding a name is bytes
        number += 1


def _cut(text: str, size: int) -> str:
    """Cut a text to at most `size` bytes of UTF-8."""
    return text.encode()[:size].decode("utf-8", "ignore")

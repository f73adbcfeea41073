r"""Texts from outside, made harmless: names of files, messages of servers and libraries, what a user typed.

Such a text may hold bytes that are no UTF-8, line breaks, escape sequences of terminals, letters that turn the direction of
writing, and formulas of spreadsheets. `escaped` is for people (terminals, logs, tables), `cell_text` for CSV, and `file_name`
for names of files. JSON needs none of them: it holds each text exactly.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable

JOINERS = "\u200c\u200d"
"""Between letters of Persian, of Indian languages and of emoji: they steer nothing."""
STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of what steers a terminal or the direction of writing, and of line breaks."""
LONGEST = 2000
"""Letters of a message for people: a server, or a file of settings, may put a megabyte into one."""
FORMULA = re.compile(r"(^|;)(\s*)(?=[=+\-@\uff0b\uff0d\uff1d\uff20])")
"""Where a spreadsheet begins to calculate: at the start of a cell, or after a semicolon where that divides cells."""
UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*]')
"""Letters that a file system of Linux, Windows or a memory card does not take in a name."""
MOST_BYTES = 140
"""Of a file's name: 255 on most file systems, 143 on encrypted ones."""


def readable(text: str) -> str:
    r"""A text that UTF-8 can hold. A byte that is no text stands as \xff.

    Python keeps such a byte as half of a surrogate pair, which opens the file again and cannot be written down. In a locale
    without an encoding, as C, it keeps every letter beyond ASCII so.
    """
    if text.isascii():
        return text
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a half that stands for no byte, as JSON can hold it
        raw = text.encode("utf-8", "surrogatepass")
    return raw.decode("utf-8", "backslashreplace")


def tamed(text: str, most: int = 100) -> str:
    """A text of somebody else on one line of at most `most` characters, without what controls a terminal."""
    plain = "".join(char if char.isprintable() else " " for char in readable(text))
    short = " ".join(plain.split())
    return short if len(short) <= most else f"{short[: most - 3]}..."


def escaped(text: str, *, keep: str = "") -> str:
    r"""A text of one line that steers nothing. What would is written as in Python: \n, \x1b, \u202e.

    `keep`: what stays of it, as the line breaks of a table.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if each in keep else _escaped(each) for each in readable(text))


def _escaped(letter: str) -> str:
    steers = unicodedata.category(letter) in STEERING and letter not in JOINERS
    return letter.encode("unicode_escape").decode() if steers else letter


def message(text: str) -> str:
    """A sentence for people, on one line and of bounded length."""
    return escaped(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")


def cell_text(text: str) -> str:
    """A text for a cell of CSV. A quotation mark stands before what a spreadsheet would calculate.

    As https://owasp.org/www-community/attacks/CSV_Injection advises.
    """
    return FORMULA.sub(r"\1\2'", escaped(text))


def file_name(stem: str, suffix: str, taken: Callable[[str], bool]) -> str:
    """A name that any file system takes, from the stem of another one: short enough, and not `taken` yet.

    A number before the suffix tells it from the others.
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
    """The beginning of a text in at most so many bytes of UTF-8."""
    return text.encode()[:size].decode("utf-8", "ignore")
